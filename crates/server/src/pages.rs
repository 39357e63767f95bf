//! Pages are rendered elsewhere; requests for them are passed on, streaming both ways. It knows
//! HTTP only: never an upgrade, never a token's meaning.

mod files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RETRY_AFTER, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tasktonic_protocol::problem::Code;

use crate::App;
use crate::door::{Passed, Peer};
use crate::problem::{REQUEST_ID, Refusal};
pub(crate) use files::immutable;

/// Connections to the pages' server that rest; its own keep-alive is 55 s.
const IDLE: Duration = Duration::from_secs(45);
const IDLE_MAX: usize = 64;
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// How long a page may take to begin.
const HEAD_WAIT: Duration = Duration::from_secs(30);
/// When to look again for pages that are not up, seconds.
const RETRY_S: u64 = 2;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that end at each hop (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What people see while the pages' server is away.
const AWAY: &str = include_str!("pages/away.html");

/// The server that renders the pages.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    at: SocketAddr,
    client: Client<HttpConnector, Body>,
}

impl Pages {
    pub(crate) fn new(at: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WAIT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { at, client }
    }

    /// Whether it takes connections.
    pub(crate) async fn is_up(&self) -> bool {
        let connect = tokio::net::TcpStream::connect(self.at);
        matches!(tokio::time::timeout(CONNECT_WAIT, connect).await, Ok(Ok(_)))
    }
}

/// Every path that is not ours.
pub(crate) async fn pass(
    State(app): State<Arc<App>>,
    peer: Peer,
    passed: Passed,
    mut request: Request,
) -> Response {
    let Some(pages) = &app.pages else { return Refusal::not_found().into_response() };
    let wants_page = request.headers().get(ACCEPT).is_some_and(|accept| {
        accept.as_bytes().windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"))
    });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{}{path}", pages.at).parse::<Uri>() else {
        return Refusal::bad_request("This address cannot be passed on.").into_response();
    };
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_11;
    prepare(request.headers_mut(), peer, &passed);
    // Neither may the connection's own state travel, nor the chance to upgrade it.
    request.extensions_mut().clear();
    match tokio::time::timeout(HEAD_WAIT, pages.client.request(request)).await {
        Ok(Ok(answer)) => {
            let mut answer = answer.map(Body::new);
            drop_hop_by_hop(answer.headers_mut());
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Refusal::internal(&"the pages' server tried to upgrade").into_response();
            }
            *answer.version_mut() = Version::default();
            answer
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the pages' server does not answer");
            away(wants_page)
        }
        Err(_) => {
            tracing::warn!("the pages' server took too long to begin its answer");
            away(wants_page)
        }
    }
}

fn prepare(headers: &mut HeaderMap, peer: Peer, passed: &Passed) {
    drop_hop_by_hop(headers);
    // HTTP/2 may split the cookies into several headers; HTTP/1.1 has one.
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(_), Some(_)) = (cookies.next(), cookies.next()) {
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
    if let Ok(host) = HeaderValue::from_str(&passed.host) {
        headers.insert(HOST, host.clone());
        headers.insert(FORWARDED_HOST, host);
    }
    let client = HeaderValue::from_str(&peer.client.to_string()).expect("an address is ASCII");
    headers.insert(FORWARDED_FOR, client);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(passed.scheme()));
    if let Ok(id) = HeaderValue::from_str(&passed.request_id) {
        headers.insert(REQUEST_ID, id);
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The answer while the pages' server is away.
fn away(wants_page: bool) -> Response {
    if !wants_page {
        let detail = "Try again in a moment; tasks go on meanwhile.";
        return Refusal::new(Code::PagesUnavailable, detail).retry_after(RETRY_S).into_response();
    }
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (RETRY_AFTER, "2"),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::BAD_GATEWAY, headers, AWAY).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_hop_do_not_reach_the_next() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Mine"));
        headers.insert("x-mine", HeaderValue::from_static("1"));
        headers.insert(UPGRADE, HeaderValue::from_static("h2c"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        headers.insert("x-kept", HeaderValue::from_static("1"));
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }

    #[test]
    fn the_page_for_people_tries_again_by_itself_and_loads_nothing() {
        assert!(AWAY.contains("http-equiv=\"refresh\"") && AWAY.contains("color-scheme"));
        assert!(
            !AWAY.contains("<script") && !AWAY.contains("http://") && !AWAY.contains("https://")
        );
    }
}
