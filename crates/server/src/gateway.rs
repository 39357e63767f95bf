//! The door document for gateways: a listener of its own that no front door leads to. It answers
//! with what this server's own door goes by, so that both decide the same. It never answers about
//! tasks, and nothing of it can be reached by the address that people use.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tasktonic_auth::door::{Document, Policy};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::App;

/// Whom a gateway asks for. A page in a browser that reached this address by a name of its own
/// would say that name.
const NAME: &str = "tasktonic-gateway";
/// The document.
const PATH: &str = "/door";
/// One connection may take so long altogether.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);
/// Connections at once: every worker process of nginx but one only reads what that one has got.
const CONNECTIONS_MAX: usize = 32;
/// Pause when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Fields that a gateway adds to a request, and their bytes: room for them is left, so that what
/// the gateway lets pass is not too much for the server.
const ADDED: (usize, usize) = (8, 1024);
/// Who may connect to the Unix socket if nobody says: whoever runs the server.
const MODE: u32 = 0o600;

/// Where gateways get the door document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayListen {
    /// A Unix socket: everything, shared secrets of issuers too.
    Unix {
        /// Its file; a stale one is replaced, and it is removed at the end.
        path: PathBuf,
        /// Who may connect, as for `chmod`.
        mode: u32,
    },
    /// A TCP port: without the issuers that use shared secrets.
    Tcp {
        /// Its address.
        address: SocketAddr,
        /// Whether it may be one that other machines reach.
        remote: bool,
    },
}

/// A text that is no [`GatewayListen`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayListenError {
    /// Neither form.
    #[error("write unix:PATH, unix:PATH,mode=0660 or ADDRESS:PORT")]
    Form,
    /// Not octal, or open to everybody.
    #[error("the mode is octal and gives others nothing, e.g. mode=0660")]
    Mode,
    /// Other machines could ask, and nobody said that they may.
    #[error(
        "{0} can be reached from other machines, and the document says whom this installation trusts; listen on a Unix socket or a loopback address, or write {0},remote if its network is yours alone"
    )]
    Remote(SocketAddr),
}

impl FromStr for GatewayListen {
    type Err = GatewayListenError;

    fn from_str(text: &str) -> Result<Self, GatewayListenError> {
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.split_once(",mode=") {
                Some((path, mode)) => {
                    let mode =
                        u32::from_str_radix(mode, 8).map_err(|_| GatewayListenError::Mode)?;
                    (path, mode)
                }
                None => (rest, MODE),
            };
            if path.is_empty() {
                return Err(GatewayListenError::Form);
            }
            if mode & !0o770 != 0 {
                return Err(GatewayListenError::Mode);
            }
            return Ok(Self::Unix { path: path.into(), mode });
        }
        let (address, remote) = match text.strip_suffix(",remote") {
            Some(address) => (address, true),
            None => (text, false),
        };
        let address: SocketAddr = address.parse().map_err(|_| GatewayListenError::Form)?;
        if !remote && !address.ip().to_canonical().is_loopback() {
            return Err(GatewayListenError::Remote(address));
        }
        Ok(Self::Tcp { address, remote })
    }
}

impl fmt::Display for GatewayListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { path, mode: MODE } => write!(f, "unix:{}", path.display()),
            Self::Unix { path, mode } => write!(f, "unix:{},mode={mode:04o}", path.display()),
            Self::Tcp { address, remote: false } => write!(f, "{address}"),
            Self::Tcp { address, remote: true } => write!(f, "{address},remote"),
        }
    }
}

/// The listener, bound.
pub(crate) enum Listener {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    /// Binds. A socket that somebody still answers on is left to them.
    pub(crate) async fn bind(listen: &GatewayListen) -> io::Result<Self> {
        match listen {
            GatewayListen::Tcp { address, remote } => {
                if !remote && !address.ip().to_canonical().is_loopback() {
                    let why = GatewayListenError::Remote(*address);
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
                Ok(Self::Tcp(TcpListener::bind(address).await?))
            }
            GatewayListen::Unix { path, mode } => {
                remove_stale(path).await?;
                // Bound under another name first: it is there for others only with its mode.
                let unfinished = path.with_extension(format!("{}", std::process::id()));
                let _ = std::fs::remove_file(&unfinished);
                let listener = UnixListener::bind(&unfinished)?;
                std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(*mode))?;
                std::fs::rename(&unfinished, path)?;
                Ok(Self::Unix(listener, path.clone()))
            }
        }
    }

    /// Where it listens, for a port that the system chose.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(..) => None,
            Self::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    fn has_secrets(&self) -> bool {
        matches!(self, Self::Unix(..))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(known) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !known.file_type().is_socket() {
        let why = format!("{} is there and is no socket; name another path", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    if UnixStream::connect(path).await.is_ok() {
        let why = format!("another server answers on {}; name another path", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    }
    std::fs::remove_file(path)
}

/// Answers gateways until the server stops.
pub(crate) async fn serve(listener: Listener, app: Arc<App>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let secrets = listener.has_secrets();
    loop {
        let accepted = tokio::select! {
            () = app.stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a gateway's connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // One too many is dropped; it asks again.
        let Ok(place) = room.clone().try_acquire_owned() else { continue };
        let app = app.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let app = app.clone();
                async move { Ok::<_, Infallible>(answer(&app, &request, secrets).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_WAIT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_WAIT, connection).await;
            drop(place);
        });
    }
}

/// Either kind of connection.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

async fn accept(listener: &Listener) -> io::Result<Box<dyn Duplex>> {
    Ok(match listener {
        Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
    })
}

async fn answer(app: &Arc<App>, request: &Request<Incoming>, secrets: bool) -> Response<Body> {
    let status = |status| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = status;
        answer
    };
    if request.headers().get(HOST).is_none_or(|host| host != NAME) {
        return status(StatusCode::MISDIRECTED_REQUEST);
    }
    if request.uri().path() != PATH {
        return status(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    // Whatever changed on disk is in the answer; this stats a few files.
    let identity = app.identity.clone();
    if tokio::task::spawn_blocking(move || identity.reload_issuers()).await.is_err() {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let document = document(app, secrets).to_json();
    Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(Body::from(document))
        .expect("the headers are fixed texts")
}

fn document(app: &App, secrets: bool) -> Document {
    let (leeway_s, issuers) = app.identity.door_issuers();
    let document = Document::new(&app.gateway_policy, leeway_s, issuers);
    if secrets { document } else { document.without_secrets() }
}

/// What gateways answer for: the configured origins. The server's own address is for programs on
/// its machine, and only where nothing is configured also for people.
pub(crate) fn policy(own: &Policy, configured: &[String]) -> Policy {
    // None configured is an error of `parse`, and means all that the server answers for.
    let only = Policy::parse(configured.iter().map(String::as_str));
    let mut policy = only.unwrap_or_else(|_| own.clone());
    (policy.limits, policy.test_hooks) = (own.limits, own.test_hooks);
    policy.limits.headers_max = policy.limits.headers_max.saturating_sub(ADDED.0);
    policy.limits.header_bytes_max = policy.limits.header_bytes_max.saturating_sub(ADDED.1);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in
            ["unix:/run/a.sock", "unix:/run/a.sock,mode=0660", "127.0.0.1:9000", "[::1]:9000"]
        {
            assert_eq!(text.parse::<GatewayListen>().unwrap().to_string(), text);
        }
        let remote: GatewayListen = "192.0.2.1:9000,remote".parse().unwrap();
        assert_eq!(remote.to_string(), "192.0.2.1:9000,remote");
    }

    #[test]
    fn what_others_could_reach_or_open_is_refused() {
        let refused = |text: &str| text.parse::<GatewayListen>().unwrap_err();
        for text in ["192.0.2.1:9000", "0.0.0.0:9000", "[::]:9000"] {
            assert!(matches!(refused(text), GatewayListenError::Remote(_)), "{text}");
        }
        for text in ["unix:/a,mode=0666", "unix:/a,mode=7777", "unix:/a,mode=x"] {
            assert_eq!(refused(text), GatewayListenError::Mode, "{text}");
        }
        for text in ["", "unix:", "9000", "localhost:9000", "/run/a.sock"] {
            assert_eq!(refused(text), GatewayListenError::Form, "{text}");
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_left() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("door.sock");
        let listen = GatewayListen::Unix { path: path.clone(), mode: 0o600 };
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a server that was killed leaves its socket");
        let bound = Listener::bind(&listen).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(Listener::bind(&listen).await.is_err(), "somebody answers on it");
        drop(bound);
        assert!(!path.exists(), "it is removed at the end");
        std::fs::write(&path, "a file").unwrap();
        assert!(Listener::bind(&listen).await.is_err(), "files are not removed");
        assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    }
}
