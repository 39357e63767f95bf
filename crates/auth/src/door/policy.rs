//! What the front door is told once: the origins it answers for, and its limits.

/// How a browser reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS: on one machine, or in development.
    Http,
    /// With TLS, ended here or in front of us.
    Https,
}

impl Scheme {
    /// The word in addresses and in `X-Forwarded-Proto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// One origin: scheme and authority, spelled as browsers spell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    authority: String,
}

/// Why a list of origins cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not an origin.
    #[error("{0:?} is not an origin; write it as https://host or http://host:port, without a path")]
    Origin(String),
    /// No origin at all.
    #[error("no origin is configured; give at least the one that browsers use")]
    Empty,
    /// One host, two schemes: a request would not say which one it came by.
    #[error("{0} is configured with http and with https; keep one of them")]
    SchemeTwice(String),
}

impl Origin {
    /// Reads `https://host` or `http://host:port`.
    ///
    /// # Errors
    /// [`PolicyError::Origin`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let bad = || PolicyError::Origin(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let (scheme, authority) = match lower.split_once("://") {
            Some(("https", authority)) => (Scheme::Https, authority),
            Some(("http", authority)) => (Scheme::Http, authority),
            _ => return Err(bad()),
        };
        let authority = authority.strip_suffix(scheme.port()).unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
        let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => !inner.is_empty() && inner.bytes().all(address),
            None => !host.is_empty() && host.bytes().all(name),
        };
        let port_fits = port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
        });
        if host_fits && port_fits {
            Ok(Self { scheme, authority: authority.to_owned() })
        } else {
            Err(bad())
        }
    }

    /// How browsers reach it.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host and port, the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether a `Host` header names it. Hosts have no case, and may spell out the usual port.
    fn is_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        host == self.authority || host.strip_suffix(self.scheme.port()) == Some(&self.authority)
    }

    /// Whether an `Origin` header is it: exactly, as browsers send it.
    fn is_origin(&self, origin: &str) -> bool {
        origin.split_once("://") == Some((self.scheme.name(), &self.authority))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority)
    }
}

/// The most of a head that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Header fields.
    pub headers_max: usize,
    /// All names and values together, bytes.
    pub header_bytes_max: usize,
    /// The target, bytes.
    pub target_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers_max: 100, header_bytes_max: 32 * 1024, target_bytes_max: 8 * 1024 }
    }
}

/// What the front door goes by.
#[derive(Debug, Clone)]
pub struct Policy {
    origins: Vec<Origin>,
    /// The most of a head that is looked at.
    pub limits: Limits,
    /// Whether `/ws/echo` exists: in test builds only.
    pub test_hooks: bool,
}

impl Policy {
    /// Answers for these origins. Their authorities are the only hosts that are answered.
    ///
    /// # Errors
    /// None, a malformed one, or one host with both schemes.
    pub fn new(origins: Vec<Origin>) -> Result<Self, PolicyError> {
        if origins.is_empty() {
            return Err(PolicyError::Empty);
        }
        for (at, origin) in origins.iter().enumerate() {
            let twice = |other: &Origin| {
                other.authority == origin.authority && other.scheme != origin.scheme
            };
            if origins[..at].iter().any(twice) {
                return Err(PolicyError::SchemeTwice(origin.authority.clone()));
            }
        }
        Ok(Self { origins, limits: Limits::default(), test_hooks: false })
    }

    /// The same from texts.
    ///
    /// # Errors
    /// As for [`Policy::new`].
    pub fn parse<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, PolicyError> {
        Self::new(origins.into_iter().map(Origin::parse).collect::<Result<_, _>>()?)
    }

    /// The origins.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Whether a `Host` header names one of the origins.
    #[must_use]
    pub fn knows_host(&self, host: &str) -> bool {
        self.by_host(host).is_some()
    }

    /// The origin whose host this is.
    pub(super) fn by_host(&self, host: &str) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.is_host(host))
    }

    /// Whether an `Origin` header names one of ours.
    pub(super) fn is_ours(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|sent| self.origins.iter().any(|origin| origin.is_origin(sent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_spell_them() {
        for (text, scheme, authority) in [
            ("https://tasks.example.com", Scheme::Https, "tasks.example.com"),
            ("HTTPS://Tasks.Example.com:443", Scheme::Https, "tasks.example.com"),
            ("http://localhost:8080", Scheme::Http, "localhost:8080"),
            ("http://localhost:80", Scheme::Http, "localhost"),
            ("http://[::1]:8080", Scheme::Http, "[::1]:8080"),
            ("https://[::1]", Scheme::Https, "[::1]"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!((origin.scheme(), origin.authority()), (scheme, authority), "{text}");
        }
        for text in [
            "",
            "localhost",
            "ftp://a",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://a:b",
            "https://a:99999",
            "https://a:080",
            "https://a b",
            "https://*.a",
            "https://[::1",
            "null",
            "https://a?b",
            "https://a:",
        ] {
            assert_eq!(Origin::parse(text), Err(PolicyError::Origin(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn one_host_has_one_scheme() {
        let both = Policy::parse(["https://a", "http://a"]).unwrap_err();
        assert_eq!(both, PolicyError::SchemeTwice("a".to_owned()));
        assert!(Policy::parse(["https://a", "http://a:8080", "https://a"]).is_ok());
        assert_eq!(Policy::parse([]).unwrap_err(), PolicyError::Empty);
    }
}
