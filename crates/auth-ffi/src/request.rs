//! A request as nginx hands it over, read. Never decides what it is worth.

use crate::border::{CRequest, FIELDS_MAX};

/// The versions that a request line may end with.
const VERSIONS: &[&str] = &["HTTP/1.0", "HTTP/1.1", "HTTP/2.0"];

/// A request, borrowed from whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, as it is spelled; empty where the request line is none.
    pub method: &'a str,
    /// The target, as it stands in the request line.
    pub target: &'a str,
    /// Whose connection it is.
    pub address: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// Whether there may be more fields than these.
    pub more: bool,
}

impl<'a> Request<'a> {
    /// Reads what C has.
    ///
    /// # Safety
    /// Every text in it, up to the count of fields, can be read for as long as `'a`.
    #[must_use]
    pub unsafe fn read(asked: &'a CRequest) -> Option<Self> {
        let fields = asked.fields.get(..usize::try_from(asked.count).ok()?)?;
        // SAFETY: as promised by the caller, here and below.
        let address = unsafe { asked.address.text()? };
        // What is no text is no target: the door refuses it as one that nobody can read.
        // SAFETY: as above.
        let line = std::str::from_utf8(unsafe { asked.line.bytes() }?).unwrap_or_default();
        let (method, target) = parts(line);
        let mut headers = Vec::with_capacity(fields.len());
        for field in fields {
            // SAFETY: as above.
            headers.push(unsafe { (field.name.text()?, field.value.bytes()?) });
        }
        let more = headers.len() == FIELDS_MAX;
        Some(Self { method, target, address, headers, more })
    }

    /// The value of a field that came once.
    pub(crate) fn one(&self, name: &str) -> Option<&'a [u8]> {
        let mut all = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let (_, value) = all.next()?;
        all.next().is_none().then_some(*value)
    }
}

/// Method and target of a request line.
fn parts(line: &str) -> (&str, &str) {
    let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
    match rest.rsplit_once(' ') {
        Some((target, version)) if VERSIONS.contains(&version) => (method, target),
        // No version at all, or one that is not spoken here.
        _ => (method, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_all_between_the_method_and_the_version() {
        assert_eq!(parts("GET /a?b HTTP/1.1"), ("GET", "/a?b"));
        assert_eq!(parts("GET http://evil.example/a HTTP/1.0").1, "http://evil.example/a");
        assert_eq!(parts("GET /a b HTTP/2.0").1, "/a b");
        for line in ["", "GET", "GET /a", "GET /a HTTP/0.9", "GET /a http/1.1"] {
            assert_eq!(parts(line).1, "", "{line}");
        }
    }

    #[test]
    fn a_value_that_must_come_once_is_none_of_two() {
        let headers: Vec<(&str, &[u8])> = vec![("Host", b"a"), ("X", b"1"), ("x", b"2")];
        let request = Request { method: "", target: "", address: "", headers, more: false };
        assert_eq!(request.one("host"), Some(&b"a"[..]));
        assert_eq!(request.one("x"), None);
        assert_eq!(request.one("y"), None);
    }
}
