//! Requests as bytes, over TCP or TLS: no library is in the way of sending what should be refused.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a connection, and each step of an answer, may take.
const WAIT: Duration = Duration::from_secs(10);
/// The most of an answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    tls: bool,
    host: String,
    port: u16,
    /// As in `Host`: the port only where it is not the usual one.
    pub(super) authority: String,
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Place {
    /// Reads `http://host[:port]` or `https://host[:port]`.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let bad = || {
            format!("{url:?} is no address of a gateway; write http://HOST:PORT or https://HOST")
        };
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let authority = rest.trim_end_matches('/').to_ascii_lowercase();
        if authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad());
        }
        let usual = if tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority.as_str(), usual),
        };
        if host.is_empty() {
            return Err(bad());
        }
        let named = if port == usual { host.to_owned() } else { format!("{host}:{port}") };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { tls, host, port, authority: named })
    }

    /// Sends bytes as they stand and reads until the other side ends.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<Answer, String> {
        let address = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| format!("{} is not known: {error}", self.host))?
            .next()
            .ok_or_else(|| format!("{} has no address", self.host))?;
        let stream = TcpStream::connect_timeout(&address, WAIT)
            .and_then(|stream| {
                stream.set_read_timeout(Some(WAIT))?;
                stream.set_write_timeout(Some(WAIT))?;
                Ok(stream)
            })
            .map_err(|error| format!("no connection to {address}: {error}"))?;
        if !self.tls {
            return talk(stream, bytes);
        }
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let connection = ClientConnection::new(Arc::new(trust()), name)
            .map_err(|error| format!("TLS: {error}"))?;
        talk(StreamOwned::new(connection, stream), bytes)
    }
}

/// Who this machine trusts.
fn trust() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

fn talk(mut stream: impl Read + Write, bytes: &[u8]) -> Result<Answer, String> {
    // It may be refused before all of it was sent.
    let sent = stream.write_all(bytes).and_then(|()| stream.flush());
    let mut raw = Vec::new();
    let mut part = [0; 8 * 1024];
    // A socket that opened says no more, and stays.
    while raw.len() < usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX)
        && !raw.starts_with(b"HTTP/1.1 101")
    {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => raw.extend_from_slice(&part[..n]),
            // Some end TLS without saying so.
            Err(_) if !raw.is_empty() => break,
            Err(error) => return Err(format!("no answer: {}", sent.err().unwrap_or(error))),
        }
    }
    Ok(Answer::read(&raw))
}

impl Answer {
    fn read(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The code of a problem document. Chunks do not hide it: it is looked for in the text.
    pub(super) fn code(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("\"code\":\"")?;
        rest.split('"').next()
    }

    /// In a few words.
    pub(super) fn shown(&self) -> String {
        let more = match (self.code(), self.header("location")) {
            (Some(code), _) => format!(" {code}"),
            (None, Some(location)) => format!(" to {location}"),
            (None, None) => String::new(),
        };
        if self.status == 0 {
            return "an end of the connection without an answer".to_owned();
        }
        format!("{}{more}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_browsers_write_it() {
        let place = |url: &str| Place::parse(url).map(|p| (p.tls, p.host, p.port, p.authority));
        let is = |tls, host: &str, port, authority: &str| {
            Ok((tls, host.to_owned(), port, authority.to_owned()))
        };
        assert_eq!(
            place("https://Tasks.example.com/"),
            is(true, "tasks.example.com", 443, "tasks.example.com")
        );
        assert_eq!(place("http://localhost:8080"), is(false, "localhost", 8080, "localhost:8080"));
        assert_eq!(place("http://[::1]:80"), is(false, "::1", 80, "[::1]"));
        for url in
            ["", "localhost", "ftp://a", "https://", "http://a/b", "http://u@a", "http://a:x"]
        {
            assert!(place(url).is_err(), "{url}");
        }
    }
}
