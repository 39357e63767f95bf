//! One connection to one server, greeted: address, TLS, name and password, and which process it
//! is that answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::codec::FramedRead;

use super::resp::{Replies, command};
use crate::errors::{Verdict, verdict, words};
use crate::url::RedisUrl;

/// From the first packet to the last answer of the greeting.
const DIAL_MS: u64 = 2_000;
/// Name under which our connections stand in `CLIENT LIST`.
const CLIENT_NAME: &str = "tasktonic";
/// Characters of a run id that travel with every call.
const RUN_CHARS: usize = 8;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Addr {
    /// Name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
}

impl std::fmt::Display for Addr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    /// Not there, or not willing at the moment.
    #[error("{0}")]
    Unreachable(String),
    /// It will not have us: waiting does not help.
    #[error("{0}")]
    Refused(String),
}

/// Bytes in.
pub(crate) type Reader = FramedRead<Box<dyn AsyncRead + Send + Unpin>, Replies>;
/// Bytes out.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// What a greeting found.
pub(crate) struct Greeted {
    /// Replies and pushes.
    pub(crate) reader: Reader,
    /// Commands.
    pub(crate) writer: Writer,
    /// First characters of the id that the server's process has had since its start.
    pub(crate) run: String,
}

/// How to reach the servers of one URL.
#[derive(Clone)]
pub(crate) struct Dialer {
    url: RedisUrl,
    tls: Option<TlsConnector>,
}

impl Dialer {
    /// One for `url`.
    pub(crate) fn new(url: RedisUrl) -> Self {
        let tls = url.tls.then(|| {
            let mut roots = rustls::RootCertStore::empty();
            // Certificates that cannot be read are as good as absent: the handshake says so.
            for certificate in rustls_native_certs::load_native_certs().certs {
                let _ = roots.add(certificate);
            }
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("the provider has the default versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        });
        Self { url, tls }
    }

    /// The servers of the URL.
    pub(crate) fn named(&self) -> Vec<Addr> {
        let of = |(host, port): &(String, u16)| Addr { host: host.clone(), port: *port };
        self.url.servers.iter().map(of).collect()
    }

    /// A greeted connection. With `pushes` it speaks RESP3, so that signals come beside replies.
    pub(crate) async fn dial(&self, addr: &Addr, pushes: bool) -> Result<Greeted, DialError> {
        match timeout(Duration::from_millis(DIAL_MS), self.greet(addr, pushes)).await {
            Ok(done) => done,
            Err(_) => Err(DialError::Unreachable(format!("{addr} does not answer"))),
        }
    }

    async fn greet(&self, addr: &Addr, pushes: bool) -> Result<Greeted, DialError> {
        let unreachable =
            |error: std::io::Error| DialError::Unreachable(format!("{addr}: {}", error.kind()));
        let tcp = TcpStream::connect((addr.host.as_str(), addr.port)).await.map_err(unreachable)?;
        // Small commands must not wait for the answers to earlier ones.
        tcp.set_nodelay(true).map_err(unreachable)?;
        let (reader, mut writer): (Box<dyn AsyncRead + Send + Unpin>, Writer) = match &self.tls {
            None => {
                let (reader, writer) = tcp.into_split();
                (Box::new(reader), Box::new(writer))
            }
            Some(tls) => {
                let name = rustls::pki_types::ServerName::try_from(addr.host.clone())
                    .map_err(|_| DialError::Refused(format!("{addr} is no name for TLS")))?;
                let stream = tls.connect(name, tcp).await.map_err(|error| match error.kind() {
                    // A certificate that is not trusted will not be in a moment.
                    std::io::ErrorKind::InvalidData => {
                        DialError::Refused(format!("{addr}, TLS: {error}"))
                    }
                    _ => unreachable(error),
                })?;
                let (reader, writer) = tokio::io::split(stream);
                (Box::new(reader), Box::new(writer))
            }
        };
        let mut reader = FramedRead::new(reader, Replies::default());

        let mut greeting = Vec::new();
        let mut expected = 0;
        let mut say = |words: &[&str]| {
            command(&mut greeting, words.iter());
            expected += 1;
        };
        match (&self.url.user, &self.url.password) {
            (Some(user), Some(password)) => say(&["AUTH", user, password]),
            (None, Some(password)) => say(&["AUTH", password]),
            _ => {}
        }
        if pushes {
            say(&["HELLO", "3"]);
        }
        say(&["CLIENT", "SETNAME", CLIENT_NAME]);
        say(&["INFO", "server"]);
        writer.write_all(&greeting).await.map_err(unreachable)?;
        writer.flush().await.map_err(unreachable)?;
        let mut info = String::new();
        for nth in 1..=expected {
            let reply = reader
                .next()
                .await
                .ok_or_else(|| DialError::Unreachable(format!("{addr} closes the connection")))?
                .map_err(unreachable)?;
            match reply {
                Value::BulkString(text) if nth == expected => {
                    info = String::from_utf8_lossy(&text).into_owned();
                }
                Value::VerbatimString { text, .. } if nth == expected => info = text,
                // A name is a courtesy, and a user may lack the right to give it.
                Value::ServerError(_) if nth + 1 == expected => {}
                Value::ServerError(error) => {
                    let why = format!("{addr} answers: {}", words(&error));
                    return Err(match verdict(&error) {
                        Verdict::Misconfigured | Verdict::Other => DialError::Refused(why),
                        _ => DialError::Unreachable(why),
                    });
                }
                _ => {}
            }
        }
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        let run: String = run.trim().chars().take(RUN_CHARS).collect();
        if run.len() < RUN_CHARS {
            return Err(DialError::Refused(format!(
                "{addr} does not say which process it is (no run_id in INFO server); connect to \
                 the Redis servers themselves, not to a proxy"
            )));
        }
        Ok(Greeted { reader, writer, run })
    }
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dialer({})", self.url)
    }
}
