//! A request as nginx hands it over: a list of texts. Never decides what it is worth.

use crate::Netstrings;

/// The versions that a request line may end with.
const VERSIONS: &[&str] = &["HTTP/1.0", "HTTP/1.1", "HTTP/2.0"];

/// A request, borrowed from its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, as it is spelled; empty where the request line is none.
    pub method: &'a str,
    /// The target, as it stands in the request line.
    pub target: &'a str,
    /// Whose connection it is.
    pub address: &'a str,
    /// Its id, as in the log.
    pub id: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Request<'a> {
    /// Reads the list: request line, address, id, then names and values in turn.
    #[must_use]
    pub fn read(list: &'a [u8]) -> Option<Self> {
        let mut texts = Netstrings::of(list);
        let mut text = || texts.next().flatten();
        let (line, address, id) = (text()?, text()?, text()?);
        let (address, id) = (std::str::from_utf8(address).ok()?, std::str::from_utf8(id).ok()?);
        // What is no text is no target: the door refuses it as one that nobody can read.
        let line = std::str::from_utf8(line).unwrap_or_default();
        let (method, rest) = line.split_once(' ').unwrap_or((line, ""));
        let target = match rest.rsplit_once(' ') {
            Some((target, version)) if VERSIONS.contains(&version) => target,
            // No version at all, or one that is not spoken here.
            _ => "",
        };
        let mut headers = Vec::with_capacity(24);
        while let Some(name) = texts.next() {
            headers.push((std::str::from_utf8(name?).ok()?, texts.next().flatten()?));
        }
        Some(Self { method, target, address, id, headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netstring::put;

    fn list(texts: &[&str]) -> Vec<u8> {
        let mut list = Vec::new();
        for text in texts {
            put(&mut list, text.as_bytes());
        }
        list
    }

    #[test]
    fn the_target_is_all_between_the_method_and_the_version() {
        let target = |line: &str| {
            let list = list(&[line, "::1", "id"]);
            Request::read(&list).unwrap().target.to_owned()
        };
        assert_eq!(target("GET /a?b HTTP/1.1"), "/a?b");
        assert_eq!(target("GET http://evil.example/a HTTP/1.0"), "http://evil.example/a");
        assert_eq!(target("GET /a b HTTP/2.0"), "/a b");
        for line in ["", "GET", "GET /a", "GET /a HTTP/0.9", "GET /a http/1.1"] {
            assert_eq!(target(line), "", "{line}");
        }
    }

    #[test]
    fn a_name_without_a_value_is_no_request() {
        let whole = list(&["GET / HTTP/1.1", "::1", "id", "host", "a"]);
        assert_eq!(Request::read(&whole).unwrap().headers, [("host", &b"a"[..])]);
        let cut = list(&["GET / HTTP/1.1", "::1", "id", "host"]);
        assert_eq!(Request::read(&cut), None);
        assert_eq!(Request::read(&list(&["GET / HTTP/1.1", "::1"])), None);
    }
}
