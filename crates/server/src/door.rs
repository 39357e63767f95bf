//! The front door: every request passes here before any route sees it. The verdict is
//! `tasktonic_auth::door`'s; here it is asked and applied, and there is no rule of its own.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, LOCATION,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tasktonic_auth::Claims;
use tasktonic_auth::door::{
    CookieNames, Head, Pass, Policy, Route, Scheme, Verdict, closes, decide, detail,
};
use tasktonic_protocol::problem::Code;
use tracing::Span;

use crate::App;
use crate::problem::{Refusal, RequestId};
use crate::proxies::{self, Network};
use crate::serve::{Paced, Remote};

/// What a browser may do with an answer of ours that is no page: nothing.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";
/// Which sites may take an answer of ours into their pages.
pub(crate) const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who asks, as the door verified it. A route that takes it never runs without one.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<Claims>);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The address of whoever asks; behind a proxy on this machine, the one it names.
    pub(crate) client: IpAddr,
    /// Whether a program on this machine asks for itself.
    local: bool,
}

impl Peer {
    /// Whether a program on this machine asks for itself.
    pub(crate) fn is_local(self) -> bool {
        self.local
    }

    /// Only a trusted proxy is believed when it names somebody else: the pages' server, or the
    /// front door before us.
    fn of(trusted: &[Network], remote: Option<&Remote>, headers: &HeaderMap) -> Self {
        let remote = remote.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |remote| remote.0.ip());
        let named = headers.get_all(FORWARDED_FOR);
        let local = remote.to_canonical().is_loopback() && named.iter().next().is_none();
        let texts: Vec<&str> = named.iter().filter_map(|value| value.to_str().ok()).collect();
        Self { client: proxies::client(trusted, remote, texts.into_iter()), local }
    }
}

/// What the door found out about a request that it let pass.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) route: Route,
    /// As it was asked for, port included.
    pub(crate) host: String,
    pub(crate) request_id: String,
    scheme: Scheme,
}

impl Passed {
    /// How the browser reaches us.
    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme.name()
    }

    /// The cookies that count here.
    pub(crate) fn cookies(&self) -> CookieNames {
        CookieNames::of(self.scheme)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Refusal::unsigned)
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().copied();
        Ok(known.unwrap_or(Self { client: Ipv4Addr::UNSPECIFIED.into(), local: false }))
    }
}

impl<S: Sync> FromRequestParts<S> for Passed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let passed = parts.extensions.get::<Self>().cloned();
        passed.ok_or_else(|| Refusal::internal(&"a request came in without passing the door"))
    }
}

/// The front door, in front of every route.
pub(crate) async fn stand(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let remote = request.extensions().get::<Remote>();
    let peer = Peer::of(&app.trusted_proxies, remote, request.headers());
    Span::current().record("client", tracing::field::display(peer.client));
    let believed =
        remote.is_some_and(|remote| proxies::is_trusted(&app.naming_proxies, remote.0.ip()));
    if believed {
        take_forwarded_host(&app.policy, &mut request);
    }
    let (label, response) = match verdict(&app, &request) {
        Verdict::Pass(pass) => {
            let route = pass.route;
            let label = matched.unwrap_or_else(|| label_of(route).to_owned());
            request.extensions_mut().insert(peer);
            let response = next.run(admit(request, pass)).await;
            (label, finish(route, response))
        }
        Verdict::Redirect { location, clear_cookies } => {
            let method = request.method();
            ("redirect".to_owned(), redirect(method, &location, &clear_cookies))
        }
        Verdict::Refuse { code, route } => ("refused".to_owned(), finish(route, refuse(code))),
    };
    app.metrics.answered(label, response.status().as_u16(), began.elapsed());
    response
}

/// A configured proxy that speaks to us under another name says in `X-Forwarded-Host` under which
/// one it was asked. It counts only where the name it used itself is none of ours, so that a proxy
/// that keeps the name and passes on a client's headers changes nothing. `X-Forwarded-Proto` is
/// never needed: how an origin is reached is configured with it.
fn take_forwarded_host(policy: &Policy, request: &mut Request) {
    let headers = request.headers();
    let used = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    if used.is_some_and(|host| policy.knows_host(host)) || headers.get_all(HOST).iter().count() > 1
    {
        return;
    }
    let mut named = headers.get_all(FORWARDED_HOST).iter();
    let (Some(only), None) = (named.next().cloned(), named.next()) else { return };
    if !only.to_str().is_ok_and(|host| policy.knows_host(host)) {
        return;
    }
    if request.version() == Version::HTTP_2 {
        // There the name stands in the target.
        let mut parts = request.uri().clone().into_parts();
        parts.authority = only.to_str().ok().and_then(|host| host.parse().ok());
        let Ok(uri) = Uri::from_parts(parts) else { return };
        *request.uri_mut() = uri;
    }
    request.headers_mut().insert(HOST, only);
}

fn verdict(app: &App, request: &Request) -> Verdict {
    let uri = request.uri();
    let http2 = request.version() == Version::HTTP_2;
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let absolute;
    let target = if uri.authority().is_some() && !http2 {
        absolute = uri.to_string();
        absolute.as_str()
    } else {
        path
    };
    let fields = request.headers().iter();
    let mut headers: Vec<(&str, &[u8])> =
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    if let (true, Some(authority)) = (http2, uri.authority()) {
        let authority = authority.as_str().as_bytes();
        if !headers.iter().any(|(name, value)| *name == "host" && *value == authority) {
            headers.push(("host", authority));
        }
    }
    let head = Head { method: request.method().as_str(), target, headers: &headers };
    decide(&head, &app.policy, app.identity.verifier(), app.clock.now_ms().div_euclid(1_000))
}

/// The request as it goes on.
fn admit(request: Request, pass: Pass) -> Request {
    let (mut parts, body) = request.into_parts();
    let host = match parts.uri.authority() {
        Some(authority) if parts.version == Version::HTTP_2 => authority.as_str().to_owned(),
        _ => {
            let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
            host.unwrap_or_default().to_owned()
        }
    };
    for name in &pass.remove_headers {
        parts.headers.remove(name.as_str());
    }
    for (name, value) in pass.set_headers {
        // What holds no header value is no value that may go on.
        match HeaderValue::from_str(&value) {
            Ok(value) => parts.headers.insert(name, value),
            Err(_) => parts.headers.remove(name),
        };
    }
    if let Some(claims) = pass.claims {
        parts.extensions.insert(Caller(claims));
    }
    let id = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
    let request_id = id.unwrap_or_default();
    parts.extensions.insert(Passed { route: pass.route, host, request_id, scheme: pass.scheme });
    Request::from_parts(parts, Body::new(Paced::new(body)))
}

fn redirect(method: &Method, location: &str, clear: &[&'static str]) -> Response {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let status = if reads { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
    let Ok(location) = HeaderValue::from_str(location) else { return refuse(Code::BadRequest) };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in clear {
        let secure = name.starts_with("__Host-");
        let cookies = CookieNames::of(if secure { Scheme::Https } else { Scheme::Http });
        if let Ok(value) = HeaderValue::from_str(&cookies.clear(name)) {
            headers.append(SET_COOKIE, value);
        }
    }
    response
}

fn refuse(code: Code) -> Response {
    if code == Code::NotFound {
        return Refusal::not_found().into_response();
    }
    let mut response = Refusal::new(code, detail(code)).into_response();
    if closes(code) && code != Code::UpgradeRequired {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What goes onto every answer of ours.
fn finish(route: Route, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if route.is_page() || route == Route::Static {
        return response;
    }
    headers.entry(CORP).or_insert(HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NO_PAGE));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The label of requests that no pattern matches.
fn label_of(route: Route) -> &'static str {
    match route {
        Route::Public => "public",
        Route::Auth | Route::Api => "api",
        Route::Socket | Route::EchoSocket => "socket",
        Route::Static => "static",
        Route::Login | Route::Page => "page",
    }
}

/// The policy for these origins, and for programs on this machine such as the pages' server.
pub(crate) fn policy(
    origins: &[String],
    port: u16,
) -> Result<Policy, tasktonic_auth::door::PolicyError> {
    let own = [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")];
    // A configured origin of the same name decides how it is reached.
    let configured: Vec<&str> = origins.iter().map(String::as_str).collect();
    let mut all = configured.clone();
    for origin in &own {
        let authority = origin.trim_start_matches("http://");
        let taken = configured.iter().any(|other| {
            other.split_once("://").is_some_and(|(_, name)| name.eq_ignore_ascii_case(authority))
        });
        if !taken {
            all.push(origin);
        }
    }
    let mut policy = Policy::parse(all)?;
    policy.test_hooks = cfg!(feature = "test-hooks");
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(remote: &str, forwarded: Option<&'static str>) -> Peer {
        let mut headers = HeaderMap::new();
        if let Some(value) = forwarded {
            headers.insert(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        Peer::of(&Network::LOOPBACK, Some(&Remote(remote.parse().unwrap())), &headers)
    }

    #[test]
    fn only_a_proxy_on_this_machine_may_name_the_client() {
        let near = peer("127.0.0.1:5", Some("6.6.6.6, 203.0.113.9"));
        assert_eq!(near.client, "203.0.113.9".parse::<IpAddr>().unwrap());
        assert!(!near.is_local(), "it asks for somebody else");
        let far = peer("198.51.100.7:5", Some("127.0.0.1"));
        assert_eq!(far.client, "198.51.100.7".parse::<IpAddr>().unwrap());
        assert!(!far.is_local());
        assert!(peer("127.0.0.1:5", None).is_local());
        assert!(peer("[::ffff:127.0.0.1]:5", None).is_local());
    }

    #[test]
    fn programs_on_this_machine_are_answered_whatever_is_configured() {
        let policy = policy(&["https://tasks.example.com".to_owned()], 7700).unwrap();
        let all: Vec<String> = policy.origins().iter().map(ToString::to_string).collect();
        let expected =
            ["https://tasks.example.com", "http://127.0.0.1:7700", "http://localhost:7700"];
        assert_eq!(all, expected);
        let behind_tls = super::policy(&["https://localhost:7700".to_owned()], 7700).unwrap();
        assert_eq!(behind_tls.origins().len(), 2);
    }
}
