//! The verdict as nginx applies it: where the request goes on, and what of it is changed. The
//! decision is `tasktonic_auth::door`'s.

use std::borrow::Cow;
use std::net::IpAddr;

use tasktonic_auth::door::{CookieNames, Door, Head, Pass, Route, Scheme, Verdict, problem_json};
use tasktonic_protocol::problem::Code;

use crate::Request;
use crate::border::{CVerdict, Field, Text};

/// Bits of an IPv6 address that are one client's: whoever has one address has 2^64 of them.
const V6_CLIENT_BITS: u32 = 64;
/// What nginx.conf says itself of every request that goes on, or never lets through.
const SAID_BY_NGINX: &[&str] =
    &["connection", "upgrade", "keep-alive", "te", "x-forwarded-host", "x-forwarded-proto"];

/// A verdict, and all that C is shown of it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    place: Cow<'static, str>,
    user: String,
    client: String,
    body: String,
    cookie: String,
    scheme: &'static str,
    changes: Vec<(Cow<'static, str>, String)>,
    /// The changes as C reads them: they point into the texts beside them.
    fields: Vec<Field>,
}

impl Answer {
    /// The verdict on `request`.
    pub(crate) fn to(request: &Request<'_>, door: &Door, now_s: i64) -> Self {
        let head =
            Head { method: request.method, target: request.target, headers: &request.headers };
        // Whoever has more fields than anybody looks at must not be judged by some of them.
        let verdict = if request.more {
            Verdict::Refuse { code: Code::HeadersTooLarge, route: Route::Api }
        } else {
            door.decide(&head, now_s)
        };
        let answer = match verdict {
            Verdict::Pass(pass) => Self::goes_on(request, pass),
            Verdict::Redirect { location, clear_cookies } => {
                let reads = matches!(request.method, "GET" | "HEAD");
                let place = if reads { "@302" } else { "@303" };
                let cookie = cleared(&clear_cookies);
                Self { place: place.into(), body: location, cookie, ..Self::default() }
            }
            Verdict::Refuse { code, .. } => Self::refused(code),
        };
        // A line break in a header would begin another. nginx lets none in, so nobody honest asks
        // for one.
        if answer.breaks() { Self::refused(Code::BadRequest) } else { answer }
    }

    fn refused(code: Code) -> Self {
        let place = format!("@{}", code.status()).into();
        let mut body = problem_json(code);
        // nginx goes on with the request's id, which nobody here has to know.
        body.pop();
        Self { place, body, ..Self::default() }
    }

    fn goes_on(request: &Request<'_>, pass: Pass) -> Self {
        let removed = pass.remove_headers.into_iter().map(|name| (name.into(), String::new()));
        let set = pass.set_headers.into_iter().map(|(name, value)| (Cow::Borrowed(name), value));
        let changes = removed.chain(set).filter(|(name, value)| {
            !SAID_BY_NGINX.contains(&&**name) && request.one(name) != Some(value.as_bytes())
        });
        Self {
            place: place(pass.route, request).into(),
            changes: changes.collect(),
            user: pass.claims.map_or_else(String::new, |claims| claims.user.to_string()),
            client: client(pass.route, request),
            scheme: pass.scheme.name(),
            ..Self::default()
        }
    }

    fn breaks(&self) -> bool {
        let breaks = |text: &str| text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let mut changes = self.changes.iter();
        changes.any(|(name, value)| breaks(name) || breaks(value))
            || [&self.user, &self.client, &self.body, &self.cookie].into_iter().any(|t| breaks(t))
    }

    /// What C is shown. It points into this answer.
    pub(crate) fn shown(&mut self) -> CVerdict {
        let text = |text: &str| Text::of(text.as_bytes());
        let changes = self.changes.iter();
        self.fields =
            changes.map(|(name, value)| Field { name: text(name), value: text(value) }).collect();
        CVerdict {
            place: text(&self.place),
            user: text(&self.user),
            client: text(&self.client),
            body: text(&self.body),
            cookie: text(&self.cookie),
            scheme: text(self.scheme),
            wants_keys: 0,
            count: i32::try_from(self.fields.len()).unwrap_or_default(),
            changes: self.fields.as_ptr(),
        }
    }
}

/// The cookie to clear. There is never more than one: the access token that is of no use.
fn cleared(names: &[&'static str]) -> String {
    let Some(name) = names.first() else { return String::new() };
    let scheme = if name.starts_with("__Host-") { Scheme::Https } else { Scheme::Http };
    CookieNames::of(scheme).clear(name)
}

/// Where a request goes on: each place has limits and times of its own.
fn place(route: Route, request: &Request<'_>) -> &'static str {
    let path = request.target.split('?').next().unwrap_or_default();
    match route {
        Route::Public => "@public",
        Route::Auth => "@auth",
        Route::Api if path == "/api/v1/files" => "@upload",
        Route::Api if path.starts_with("/api/v1/worker/") => "@worker",
        Route::Api => "@api",
        Route::Socket | Route::EchoSocket => "@socket",
        Route::Static if path.starts_with("/_next/static/") => "@immutable",
        Route::Static => "@static",
        Route::Login => "@login",
        Route::Page => "@page",
    }
}

/// Whom the limit of sign-ins counts: writes to the doors that are open to anybody, by address.
fn client(route: Route, request: &Request<'_>) -> String {
    let counts =
        matches!(route, Route::Auth | Route::Login) && !matches!(request.method, "GET" | "HEAD");
    if !counts {
        return String::new();
    }
    match request.address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let net = u128::from(address) >> (128 - V6_CLIENT_BITS) << (128 - V6_CLIENT_BITS);
            std::net::Ipv6Addr::from(net).to_string()
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        // Whoever comes by a Unix socket shares one count.
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(method: &'a str, target: &'a str, address: &'a str) -> Request<'a> {
        Request { method, target, address, headers: Vec::new(), more: false }
    }

    #[test]
    fn sign_ins_are_counted_by_the_network_of_a_client() {
        let of = |address| client(Route::Auth, &asked("POST", "/api/v1/auth/token", address));
        assert_eq!(of("203.0.113.9"), "203.0.113.9");
        assert_eq!(of("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8::5"), of("2001:db8::6"));
        assert_eq!(of("unix:"), "unknown");
        assert_eq!(client(Route::Login, &asked("GET", "/login", "203.0.113.9")), "");
        assert_eq!(client(Route::Api, &asked("POST", "/api/v1/tasks", "203.0.113.9")), "");
    }

    #[test]
    fn uploads_workers_and_files_of_pages_have_places_of_their_own() {
        for (route, target, expected) in [
            (Route::Api, "/api/v1/files?name=a", "@upload"),
            (Route::Api, "/api/v1/files/f_1", "@api"),
            (Route::Api, "/api/v1/worker/sync", "@worker"),
            (Route::Api, "/api/v1/workers", "@api"),
            (Route::Static, "/_next/static/a.js", "@immutable"),
            (Route::Static, "/favicon.ico", "@static"),
        ] {
            assert_eq!(place(route, &asked("POST", target, "::1")), expected, "{target}");
        }
    }
}
