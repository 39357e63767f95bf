//! The verdict as nginx applies it: a list of texts. The decision is `tasktonic_auth::door`'s.
//!
//! One text a line: place, user, client to count, body, cookie, then names and values in turn. The
//! place is the location of the configuration that goes on with the request. The pairs are its
//! headers as they go on: an empty value removes one.

use std::net::IpAddr;

use tasktonic_auth::door::{CookieNames, Door, Head, Pass, Route, Scheme, Verdict, problem_json};
use tasktonic_protocol::problem::Code;

use crate::Request;

/// Bits of an IPv6 address that are one client's: whoever has one address has 2^64 of them.
const V6_CLIENT_BITS: u32 = 64;

/// The verdict on `request`.
pub(crate) fn of(request: &Request<'_>, door: &Door, now_s: i64) -> Vec<u8> {
    let head = Head { method: request.method, target: request.target, headers: &request.headers };
    let mut lines = Lines(Vec::with_capacity(1_024));
    let whole = match door.decide(&head, now_s) {
        Verdict::Pass(pass) => lines.goes_on(request, &pass),
        Verdict::Redirect { location, clear_cookies } => {
            let reads = matches!(request.method, "GET" | "HEAD");
            let place = if reads { "@302" } else { "@303" };
            lines.all(&[place, "", "", &location, &cleared(&clear_cookies)])
        }
        Verdict::Refuse { code, .. } => lines.refused(code, request.id),
    };
    if whole.is_none() {
        // A line break would end a text early. nginx lets none in, so nobody honest asks for it.
        lines.0.clear();
        let _ = lines.refused(Code::BadRequest, "");
    }
    lines.0
}

/// The cookie to clear. There is never more than one: the access token that is of no use.
fn cleared(names: &[&'static str]) -> String {
    let Some(name) = names.first() else { return String::new() };
    let scheme = if name.starts_with("__Host-") { Scheme::Https } else { Scheme::Http };
    CookieNames::of(scheme).clear(name)
}

/// Texts, one a line. Every step gives nothing for a text that is no line.
struct Lines(Vec<u8>);

impl Lines {
    fn put(&mut self, text: &str) -> Option<()> {
        if text.contains(['\n', '\r', '\0']) {
            return None;
        }
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
        Some(())
    }

    fn all(&mut self, texts: &[&str]) -> Option<()> {
        texts.iter().try_for_each(|text| self.put(text))
    }

    fn goes_on(&mut self, request: &Request<'_>, pass: &Pass) -> Option<()> {
        let user = pass.claims.as_ref().map_or("", |claims| claims.user.as_str());
        self.all(&[place(pass.route, request), user, &client(pass.route, request), "", ""])?;
        for name in &pass.remove_headers {
            self.all(&[name, ""])?;
        }
        for (name, value) in &pass.set_headers {
            self.all(&[name, value])?;
        }
        Some(())
    }

    fn refused(&mut self, code: Code, id: &str) -> Option<()> {
        self.all(&[&format!("@{}", code.status()), "", "", &problem_json(code, Some(id)), ""])
    }
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
        Request { method, target, address, id: "id", headers: Vec::new() }
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
