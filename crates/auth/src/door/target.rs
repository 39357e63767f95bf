//! Request targets: refused where two readers could see two different paths in one.

/// A target that every reader reads the same way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    query: Option<&'a str>,
}

/// Names of query parameters that would carry a token into logs.
const TOKEN_PARAMETERS: &[&str] = &["token", "access_token", "id_token", "refresh_token"];

impl<'a> Target<'a> {
    /// Nothing where the target is not in origin form, or not in its only spelling.
    pub(super) fn of(target: &'a str) -> Option<Self> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let visible = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let plain = path.starts_with('/')
            && !path.contains("//")
            && !path.contains(['\\', ';', '<', '>', '"', '^', '`', '{', '}', '|'])
            && escapes_are_canonical(path)
            && path.split('/').all(|segment| segment != "." && segment != "..");
        (visible && plain).then_some(Self { path, query })
    }

    /// Whether the query names a token.
    pub(super) fn carries_a_token(&self) -> bool {
        let pairs = self.query.unwrap_or_default().split(['&', ';']);
        pairs
            .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
            .any(|name| TOKEN_PARAMETERS.iter().any(|refused| name.eq_ignore_ascii_case(refused)))
    }
}

/// Every `%` begins an escape of a byte that needs one: not of a letter, digit or mark that means
/// the same without, not of a separator or control that a decoding reader would act on, and not of
/// `%` itself, under which a second decoding would find any of these.
fn escapes_are_canonical(path: &str) -> bool {
    let mut rest = path;
    while let Some((_, after)) = rest.split_once('%') {
        let Some(byte) = after.get(..2).and_then(hex) else { return false };
        let unneeded = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let dangerous = byte < 0x20 || byte == 0x7f || b"/\\;%?#".contains(&byte);
        if unneeded || dangerous {
            return false;
        }
        rest = &after[2..];
    }
    true
}

fn hex(digits: &str) -> Option<u8> {
    let fits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// A text as the value of a query parameter.
pub(super) fn escape(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}
