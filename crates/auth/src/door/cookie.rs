//! The two cookies: their names, how they are read, and which of them go on.

use super::headers::Headers;
use super::policy::Scheme;

/// What the cookies are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieNames {
    /// Holds the access token.
    pub access: &'static str,
    /// Holds the refresh token.
    pub refresh: &'static str,
    scheme: Scheme,
}

/// With TLS: the prefix keeps a sibling domain from planting such a cookie.
const OVER_TLS: CookieNames =
    CookieNames { access: "__Host-tt_at", refresh: "__Host-tt_rt", scheme: Scheme::Https };
/// Without TLS, where browsers do not take the prefix.
const PLAIN: CookieNames = CookieNames { access: "tt_at", refresh: "tt_rt", scheme: Scheme::Http };

impl CookieNames {
    /// The names that count on an origin of this scheme; the others are ignored there.
    #[must_use]
    pub const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Http => PLAIN,
            Scheme::Https => OVER_TLS,
        }
    }

    /// A `Set-Cookie` value that sets one of them for `max_age_s` seconds.
    #[must_use]
    pub fn set(&self, name: &str, value: &str, max_age_s: u64) -> String {
        let secure = match self.scheme {
            Scheme::Http => "",
            Scheme::Https => "; Secure",
        };
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
    }

    /// A `Set-Cookie` value that clears one of them.
    #[must_use]
    pub fn clear(&self, name: &str) -> String {
        self.set(name, "", 0)
    }
}

/// The cookies of one request.
pub(super) struct Cookies<'a> {
    names: CookieNames,
    pairs: Vec<(&'a str, &'a str)>,
    /// Whether some of what came is not among the pairs, or is in more than one field.
    untidy: bool,
    any: bool,
}

impl<'a> Cookies<'a> {
    /// Reads every `Cookie` field. Of two cookies of ours with one name the first counts, as
    /// browsers send the more specific one first, and the others do not go on.
    pub(super) fn of(headers: &Headers<'a>, scheme: Scheme) -> Self {
        let names = CookieNames::of(scheme);
        let mut cookies = Self { names, pairs: Vec::new(), untidy: false, any: false };
        for (field, value) in headers.all("cookie").enumerate() {
            cookies.any = true;
            cookies.untidy |= field > 0;
            let Ok(value) = std::str::from_utf8(value) else {
                cookies.untidy = true;
                continue;
            };
            for pair in value.split(';') {
                cookies.read(pair.trim_matches([' ', '\t']));
            }
        }
        cookies
    }

    fn read(&mut self, pair: &'a str) {
        let Some((name, value)) = pair.split_once('=') else {
            self.untidy |= !pair.is_empty();
            return;
        };
        let name = name.trim_matches([' ', '\t']);
        let ours = [OVER_TLS.access, OVER_TLS.refresh, PLAIN.access, PLAIN.refresh].contains(&name);
        let counts = name == self.names.access || name == self.names.refresh;
        let plain = pair.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !plain || (ours && (!counts || self.get(name).is_some())) {
            self.untidy = true;
            return;
        }
        self.pairs.push((name, value));
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// Whether the browser sent any.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// The access token.
    pub(super) fn access(&self) -> Option<&'a str> {
        self.get(self.names.access).filter(|value| !value.is_empty())
    }

    /// Whether there is a refresh token.
    pub(super) fn has_refresh(&self) -> bool {
        self.get(self.names.refresh).is_some_and(|value| !value.is_empty())
    }

    pub(super) fn names(&self) -> CookieNames {
        self.names
    }

    /// What becomes of the `Cookie` field: `None` when it may go on as it came, else its new
    /// value, empty for none.
    pub(super) fn rewritten(&self, with_refresh: bool) -> Option<String> {
        let hide = !with_refresh && self.get(self.names.refresh).is_some();
        if !self.untidy && !hide {
            return None;
        }
        let kept =
            self.pairs.iter().filter(|(name, _)| with_refresh || *name != self.names.refresh);
        let kept: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
        Some(kept.join("; "))
    }
}
