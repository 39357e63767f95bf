//! The WebSocket: an upgraded request of the same HTTP client, so that roots of trust, timeouts
//! and tokens are the same for both.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode};
use tasktonic_protocol::frames::{ClientFrame, HEARTBEAT_MS, SUBPROTOCOL, ServerFrame, close};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::{Client, Error, Result, Token};

/// Bytes of one message from the server.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A line on which not even a ping was heard for so long is dead.
const SILENCE_MAX: Duration = Duration::from_millis(2 * HEARTBEAT_MS + 10_000);

/// An open socket: frames out and in. What is said on it ends with it.
pub struct Socket {
    line: WebSocketStream<reqwest::Upgraded>,
    token: Option<Token>,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a socket. Say [`ClientFrame::Hello`] first.
    ///
    /// # Errors
    /// A problem if the server refuses; [`Error::BadAnswer`] if something on the way does not let
    /// sockets through.
    pub async fn socket(&self) -> Result<Socket> {
        let credentials = &self.inner.credentials;
        let token = credentials.token().await?;
        match (self.open(token.clone()).await, token) {
            (Err(error), Some(token)) if error.wants_token() => {
                if !credentials.renew(&token).await? {
                    return Err(error);
                }
                self.open(credentials.token().await?).await
            }
            (opened, _) => opened,
        }
    }

    async fn open(&self, token: Option<Token>) -> Result<Socket> {
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let request = self
            .request(Method::GET, &["ws"], &[], token.as_ref())?
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key)
            .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let after = self.inner.waits.answer;
        let opened = async {
            let response = request.send().await.map_err(|error| self.failed(error))?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = response.status();
                self.whole(response).await?;
                return Err(self.bad(status, "it does not open a socket"));
            }
            self.check_handshake(response.headers(), &key)?;
            response.upgrade().await.map_err(|error| self.failed(error))
        };
        let upgraded = tokio::time::timeout(after, opened).await;
        let upgraded = upgraded.unwrap_or(Err(Error::Timeout { after }))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let line = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok(Socket { line, token })
    }

    fn check_handshake(&self, headers: &HeaderMap, key: &str) -> Result<()> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let wrong = |what| Err(self.bad(StatusCode::SWITCHING_PROTOCOLS, what));
        if text(SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
            return wrong("its answer belongs to another request");
        }
        if text(SEC_WEBSOCKET_PROTOCOL) != Some(SUBPROTOCOL) {
            return wrong("it speaks another subprotocol");
        }
        Ok(())
    }

    /// A token is over: whether there is another.
    pub(crate) async fn renew(&self, token: Option<Token>) -> Result<bool> {
        match token {
            Some(token) => self.inner.credentials.renew(&token).await,
            None => Ok(false),
        }
    }
}

/// What a socket ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The token is over.
    TokenExpired,
    /// A rule was broken: connecting again would end the same way.
    Refused(u16),
    /// Anything that passes: connect again.
    Passing,
}

impl Socket {
    /// What it was opened with.
    pub(crate) fn token(&self) -> Option<Token> {
        self.token.clone()
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// [`Error::Broken`] if the socket is no more.
    pub async fn say(&mut self, frame: &ClientFrame) -> Result<()> {
        let text = serde_json::to_string(frame)
            .map_err(|error| Error::Invalid(format!("the frame cannot be written: {error}")))?;
        self.line.send(Message::text(text)).await.map_err(broken)
    }

    /// The next frame; `None` when the server has closed the socket.
    ///
    /// # Errors
    /// [`Error::Broken`] if the line broke or nothing was heard for too long.
    pub async fn hear(&mut self) -> Result<Option<ServerFrame>> {
        Ok(self.hear_or_end().await?.ok())
    }

    pub(crate) async fn hear_or_end(&mut self) -> Result<std::result::Result<ServerFrame, Ending>> {
        loop {
            let heard = tokio::time::timeout(SILENCE_MAX, self.line.next()).await;
            let heard = heard.map_err(|_| Error::Broken {
                cause: format!("nothing was heard for {SILENCE_MAX:?}"),
            })?;
            match heard {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map(Ok).map_err(|error| Error::Broken {
                        cause: format!("a frame cannot be read at column {}", error.column()),
                    });
                }
                Some(Ok(Message::Close(frame))) => {
                    return Ok(Err(frame.map_or(Ending::Passing, |f| ending(f.code.into()))));
                }
                // Pings are answered by the next read.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
                None => return Ok(Err(Ending::Passing)),
            }
        }
    }
}

fn ending(code: u16) -> Ending {
    match code {
        close::TOKEN_EXPIRED => Ending::TokenExpired,
        close::POLICY | close::TOO_BIG | close::UNSUPPORTED => Ending::Refused(code),
        _ => Ending::Passing,
    }
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::Broken { cause: error.to_string() }
}
