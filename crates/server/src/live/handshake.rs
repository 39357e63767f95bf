//! The WebSocket handshake (RFC 6455, section 4.2), and the settings of every socket. Small
//! buffers: most sockets say nothing most of the time, and there are thousands of them.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, Method, StatusCode, Version};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tasktonic_protocol::problem::Code;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::socket::Stream;
use crate::problem::Refusal;

/// Bytes a socket reads at once.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// Bytes that wait before a write.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// A request that may become a socket.
pub(super) struct Handshake {
    accept: HeaderValue,
    protocol: Option<&'static str>,
    upgrade: OnUpgrade,
}

fn names(headers: &HeaderMap, name: impl axum::http::header::AsHeaderName, word: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        let list = value.to_str().unwrap_or_default();
        list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
    })
}

impl Handshake {
    /// Reads the request; with `protocol` the client must offer that subprotocol.
    pub(super) fn read(
        request: &mut Request,
        protocol: Option<&'static str>,
    ) -> Result<Self, Refusal> {
        let headers = request.headers();
        let asks = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && names(headers, UPGRADE, "websocket")
            && names(headers, CONNECTION, "upgrade")
            && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13");
        if !asks {
            let detail = "Open this address as a WebSocket, version 13, over HTTP/1.1.";
            return Err(Refusal::new(Code::UpgradeRequired, detail));
        }
        let has_body = headers.contains_key(TRANSFER_ENCODING)
            || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None, false) = (keys.next(), keys.next(), has_body) else {
            return Err(Refusal::bad_request("A handshake has one Sec-WebSocket-Key and no body."));
        };
        if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
            return Err(Refusal::bad_request("Sec-WebSocket-Key is 16 bytes in base64."));
        }
        if let Some(protocol) = protocol
            && !names(headers, SEC_WEBSOCKET_PROTOCOL, protocol)
        {
            return Err(Refusal::bad_request("Offer the subprotocol tt.v1."));
        }
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
            .expect("base64 is visible ASCII");
        let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
            let detail = "This connection cannot become a WebSocket.";
            return Err(Refusal::new(Code::UpgradeRequired, detail));
        };
        Ok(Self { accept, protocol, upgrade })
    }

    /// The answer, and the socket once the answer was sent.
    pub(super) fn accept(
        self,
        message_bytes_max: usize,
    ) -> (Response, impl Future<Output = Option<Stream>> + Send) {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER_BYTES;
        config.write_buffer_size = WRITE_BUFFER_BYTES;
        // One message and its head, or one fragment: each is written before the next begins.
        config.max_write_buffer_size = WRITE_BUFFER_BYTES + message_bytes_max + 1024;
        config.max_message_size = Some(message_bytes_max);
        config.max_frame_size = Some(message_bytes_max);
        let upgrade = self.upgrade;
        let socket = async move {
            let upgraded = upgrade.await.ok()?;
            let io = TokioIo::new(upgraded);
            Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
        };
        (answer, socket)
    }
}
