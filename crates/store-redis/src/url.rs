//! `redis://…`: which servers, and how to greet them.

use std::fmt;
use std::str::FromStr;

/// Port of a Redis server, where none is named.
const PORT_DEFAULT: u16 = 6_379;
/// Servers named in one URL.
const SERVERS_MAX: usize = 64;

/// Why a text is no Redis URL. Never quotes it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error(
        "a Redis store is named redis://[user:password@]host[:port][,host[:port]…] or rediss://… for TLS"
    )]
    Scheme,
    /// A host or port that is none.
    #[error("a server in a Redis URL is host[:port], several with commas; the port is a number")]
    Server,
    /// A database number, which a cluster does not have.
    #[error(
        "a Redis URL of ours names no database; Task Tonic keeps its keys apart by their prefix tt:"
    )]
    Database,
    /// Too many servers.
    #[error("a Redis URL names at most 64 servers")]
    TooMany,
}

/// Where the store is. One server, or some of a cluster: the others are asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Host and port of each server named.
    pub(crate) servers: Vec<(String, u16)>,
    /// Whether to speak TLS.
    pub(crate) tls: bool,
    /// ACL user.
    pub(crate) user: Option<String>,
    /// Its password.
    pub(crate) password: Option<String>,
}

impl RedisUrl {
    /// Whether the URL holds a password, which does not belong on a command line.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> =
            self.servers.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "{}://{}", if self.tls { "rediss" } else { "redis" }, servers.join(","))
    }
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (tls, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Database);
        }
        let (greeting, servers) = match rest.rsplit_once('@') {
            Some((greeting, servers)) => (Some(greeting), servers),
            None => (None, rest),
        };
        let (user, password) = match greeting {
            None => (None, None),
            Some(greeting) => {
                let (user, password) = greeting.split_once(':').ok_or(UrlError::Scheme)?;
                (Some(unescape(user)?).filter(|user| !user.is_empty()), Some(unescape(password)?))
            }
        };
        let servers = servers.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        if servers.len() > SERVERS_MAX {
            return Err(UrlError::TooMany);
        }
        Ok(Self { servers, tls, user, password })
    }
}

fn server(text: &str) -> Result<(String, u16), UrlError> {
    // An IPv6 address stands in brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = match port {
        Some(port) => port.parse().map_err(|_| UrlError::Server)?,
        None => PORT_DEFAULT,
    };
    if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Server);
    }
    Ok((bare.to_owned(), port))
}

/// `%40` and the like, as a password with an `@` is written.
fn unescape(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let (Some(high), Some(low)) = (high, low) else { return Err(UrlError::Scheme) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Scheme)?);
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RedisUrl {
        text.parse().unwrap()
    }

    #[test]
    fn servers_and_their_ports_are_read() {
        assert_eq!(url("redis://one").servers, [("one".into(), 6_379)]);
        assert_eq!(
            url("redis://10.0.0.1:7001,[::1]:7002/").servers,
            [("10.0.0.1".into(), 7_001), ("::1".into(), 7_002)]
        );
        assert!(url("rediss://one").tls);
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let url = url("redis://ana:p%40ss%3A@one");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("ana"), Some("p@ss:")));
        assert!(url.has_password());
        assert_eq!(format!("{url} {url:?}"), "redis://one:6379 redis://one:6379");
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        for (text, error) in [
            ("one:6379", UrlError::Scheme),
            ("ftp://one", UrlError::Scheme),
            ("redis://", UrlError::Server),
            ("redis://one:port", UrlError::Server),
            ("redis://one,", UrlError::Server),
            ("redis://one/3", UrlError::Database),
            ("redis://a:%zz@one", UrlError::Scheme),
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(error), "{text}");
        }
    }
}
