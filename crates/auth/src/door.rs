//! The front door's verdict on one request: who it is for, whether it is meant for us, whose it
//! is, and what of it goes on. One pure function; whoever listens on a socket asks it and applies
//! the answer, and has no rule of its own. It never decides what a user may do.

mod answer;
mod cookie;
mod document;
mod headers;
mod policy;
mod route;
mod target;
mod token;

use std::sync::Arc;

use tasktonic_protocol::problem::Code;

use crate::{Claims, Verifier};
pub use answer::{detail, problem_json};
pub use cookie::CookieNames;
use cookie::Cookies;
pub use document::{
    DOCUMENT_BYTES_MAX, Document, DocumentError, Door, IssuerPart, VERSION as DOCUMENT_VERSION,
};
use headers::Headers;
pub use policy::{Limits, Origin, Policy, PolicyError, Scheme};
pub use route::Route;
use target::Target;
use token::Carried;

/// The head of a request, as it came.
///
/// With HTTP/2, `target` is `:path` and the value of `:authority` stands among the headers as
/// `host`. With HTTP/1.1, `target` is what stands in the request line, absolute form included.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, as it is spelled.
    pub method: &'a str,
    /// The request target, not decoded.
    pub target: &'a str,
    /// Names (any case) and values in their order, repeated ones included.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass(Pass),
    /// 302 (303 for a method other than GET and HEAD), with `Cache-Control: no-store`.
    Redirect {
        /// A path of this site.
        location: String,
        /// Names of cookies to clear: they are of no use any more.
        clear_cookies: Vec<&'static str>,
    },
    /// An `application/problem+json` of this code, and the end of the connection where the head
    /// could not be trusted ([`closes`]).
    Refuse {
        /// Why.
        code: Code,
        /// For whom it would have been, as far as that is known.
        route: Route,
    },
}

/// A request that goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Pass {
    /// Where to.
    pub route: Route,
    /// Whose it is; nothing on routes that ask nobody.
    pub claims: Option<Arc<Claims>>,
    /// The token it was decided by, for those behind us who decide again.
    pub token: Option<String>,
    /// How the browser reaches us: the scheme of the origin whose host was named.
    pub scheme: Scheme,
    /// Names (lower case) of headers that do not go on.
    pub remove_headers: Vec<String>,
    /// Names (lower case) and values that replace what came, after the removal.
    pub set_headers: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("route", &self.route)
            .field("claims", &self.claims)
            .field("scheme", &self.scheme)
            .field("remove_headers", &self.remove_headers)
            .finish_non_exhaustive()
    }
}

/// Whether the connection ends with a refusal of this code: what follows on it could be the rest
/// of something else.
#[must_use]
pub const fn closes(code: Code) -> bool {
    matches!(
        code,
        Code::UnknownHost
            | Code::AmbiguousTarget
            | Code::BadRequest
            | Code::HeadersTooLarge
            | Code::UpgradeRequired
    )
}

/// Longest target that is kept as `next` of a redirect, bytes; a longer one leads home.
const NEXT_BYTES_MAX: usize = 2_048;

/// The verdict on a request at `now_s` (seconds since 1970).
///
/// The order is: size, host, target, route, form of a socket, place of the token, origin, token.
#[must_use]
pub fn decide(head: &Head<'_>, policy: &Policy, verifier: &Verifier, now_s: i64) -> Verdict {
    let refuse = |code, route| Verdict::Refuse { code, route };
    let request = match Request::read(head, policy) {
        Ok(request) => request,
        Err((code, route)) => return refuse(code, route),
    };
    if request.route.is_open() {
        return match request.check_origin(policy, None) {
            Ok(()) => Verdict::Pass(request.pass(None)),
            Err(code) => refuse(code, request.route),
        };
    }
    let carried = match Carried::find(&request.headers, &request.cookies, request.route) {
        Ok(carried) => carried,
        Err(code) => return request.turn_away(code),
    };
    if let Err(code) = request.check_origin(policy, carried.as_ref()) {
        return refuse(code, request.route);
    }
    let Some(carried) = carried else { return request.turn_away(Code::TokenMissing) };
    match verifier.verify(carried.text(), now_s) {
        Ok(claims) => Verdict::Pass(request.pass(Some((claims, carried)))),
        Err(refusal) => request.turn_away(refusal.code()),
    }
}

/// A request that is meant for us, by its form.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    route: Route,
    headers: Headers<'a>,
    cookies: Cookies<'a>,
    origin: &'a Origin,
}

impl<'a> Request<'a> {
    fn read(head: &Head<'a>, policy: &'a Policy) -> Result<Self, (Code, Route)> {
        // Until the route is known, a refusal is one for programs.
        let early = |code| (code, Route::Api);
        let limits = &policy.limits;
        let headers = Headers::of(head.headers, limits)
            .filter(|_| head.target.len() <= limits.target_bytes_max)
            .ok_or(early(Code::HeadersTooLarge))?;
        let host = headers.one("host").map_err(|_| early(Code::BadRequest))?;
        let origin = host.and_then(|host| policy.by_host(host)).ok_or(early(Code::UnknownHost))?;
        let target = Target::of(head.target).ok_or(early(Code::AmbiguousTarget))?;
        if matches!(head.method, "CONNECT" | "TRACE" | "TRACK") {
            return Err(early(Code::MethodNotAllowed));
        }
        let route = Route::of(target.path, policy.test_hooks).ok_or(early(Code::NotFound))?;
        if route.is_socket() && !is_upgrade(head.method, &headers) {
            return Err((Code::UpgradeRequired, route));
        }
        if route.is_socket() && has_body(&headers) {
            return Err((Code::BadRequest, route));
        }
        if matches!(route, Route::Api | Route::Socket) && target.carries_a_token() {
            return Err((Code::TokenInvalid, route));
        }
        let cookies = Cookies::of(&headers, origin.scheme());
        let (method, target) = (head.method, head.target);
        Ok(Self { method, target, route, headers, cookies, origin })
    }

    fn reads(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// Whether the browser may have been asked to send this by another site.
    fn check_origin(&self, policy: &Policy, carried: Option<&Carried<'_>>) -> Result<(), Code> {
        let sent = self.headers.one("origin").map_err(|_| Code::BadRequest)?;
        let by_cookie = matches!(carried, Some(Carried::Cookie(_)));
        let writes = !self.reads();
        let must_be_ours = (writes && self.route.is_page())
            || (by_cookie && (writes || self.route.is_socket()))
            || (writes && self.route.is_open() && (self.cookies.any() || sent.is_some()));
        if must_be_ours && !policy.is_ours(sent) { Err(Code::ForeignOrigin) } else { Ok(()) }
    }

    /// Whether a person is behind it who can be led to the sign-in.
    fn is_navigation(&self) -> bool {
        self.route == Route::Page
            && matches!(self.method, "GET" | "HEAD" | "POST")
            && !self.headers.has("rsc")
            && !self.headers.has("next-action")
    }

    /// The answer to a request without a good token.
    fn turn_away(&self, code: Code) -> Verdict {
        if code.status() != 401 || !self.is_navigation() {
            return Verdict::Refuse { code, route: self.route };
        }
        let next = if self.target.len() <= NEXT_BYTES_MAX { self.target } else { "/" };
        let next = target::escape(next);
        if self.cookies.has_refresh() {
            let location = format!("/api/v1/auth/refresh?next={next}");
            return Verdict::Redirect { location, clear_cookies: Vec::new() };
        }
        let stale = self.cookies.access().map(|_| self.cookies.names().access);
        Verdict::Redirect {
            location: format!("/login?next={next}"),
            clear_cookies: stale.into_iter().collect(),
        }
    }

    fn pass(&self, verified: Option<(Arc<Claims>, Carried<'_>)>) -> Pass {
        let mut remove_headers = self.headers.dropped(self.route.is_socket());
        let authority = self.origin.authority();
        let scheme = self.origin.scheme();
        let mut set_headers = vec![
            ("host", authority.to_owned()),
            ("x-forwarded-host", authority.to_owned()),
            ("x-forwarded-proto", scheme.name().to_owned()),
        ];
        match self.cookies.rewritten(self.route == Route::Auth) {
            None => {}
            Some(none) if none.is_empty() => remove_headers.push("cookie".to_owned()),
            Some(value) => set_headers.push(("cookie", value)),
        }
        if self.route == Route::Socket && self.headers.has("sec-websocket-protocol") {
            // The token goes no further as a name, and only what was offered may be chosen.
            let mut offered = self.headers.words("sec-websocket-protocol");
            if offered.any(|word| word == token::SUBPROTOCOL) {
                set_headers.push(("sec-websocket-protocol", token::SUBPROTOCOL.to_owned()));
            } else {
                remove_headers.push("sec-websocket-protocol".to_owned());
            }
        }
        let (claims, token) = match verified {
            None => (None, None),
            Some((claims, carried)) => {
                if let Carried::Subprotocol(token) = carried {
                    set_headers.push(("authorization", format!("Bearer {token}")));
                }
                if self.route == Route::Page {
                    // For logs only: whoever decides, decides by the token.
                    set_headers.push(("x-tt-user", claims.user.as_str().to_owned()));
                }
                (Some(claims), Some(carried.text().to_owned()))
            }
        };
        Pass { route: self.route, claims, token, scheme, remove_headers, set_headers }
    }
}

fn is_upgrade(method: &str, headers: &Headers<'_>) -> bool {
    let websocket = matches!(
        headers.one("upgrade"),
        Ok(Some(value)) if value.eq_ignore_ascii_case("websocket")
    );
    let mut connection = headers.words("connection");
    method == "GET" && websocket && connection.any(|word| word.eq_ignore_ascii_case("upgrade"))
}

fn has_body(headers: &Headers<'_>) -> bool {
    headers.has("transfer-encoding") || headers.all("content-length").any(|value| value != b"0")
}
