//! The front door's verdicts, row by row from `door_cases.toml`. The rows know nothing of this
//! crate, so that they can be sent to a running front door as well.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails, and that is right")]

use std::collections::BTreeMap;

use serde::Deserialize;
use tasktonic_auth::door::{CookieNames, Head, Policy, Route, Scheme, Verdict, closes, decide};
use tasktonic_auth::{Issuer, NewToken, Role, SigningKey, TrustedIssuer, Verifier};
use tasktonic_protocol::problem::Code;

const NOW_S: i64 = 1_800_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "get")]
    method: String,
    target: String,
    /// The default is the https origin; empty sends none.
    host: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// So many more fields.
    #[serde(default)]
    filler: usize,
    #[serde(default)]
    test_hooks: bool,
    /// `pass <route> <user or ->`, `refuse <code>`, `redirect <location> [cleared cookie]`.
    expect: String,
    /// Fields that arrive behind us with this value; empty for fields that do not.
    #[serde(default)]
    behind: BTreeMap<String, String>,
}

fn get() -> String {
    "GET".to_owned()
}

struct World {
    policy: Policy,
    verifier: Verifier,
    tokens: Vec<(&'static str, String)>,
}

impl World {
    fn new() -> Self {
        let ours = Issuer::new("tasktonic", SigningKey::generate());
        let thief = Issuer::new("tasktonic", SigningKey::generate());
        let trusted = TrustedIssuer::built_in("tasktonic", "tasktonic", ours.key_set());
        let new = |audience: &str, ttl_s| NewToken {
            subject: "ada".to_owned(),
            role: Role::User,
            name: None,
            scopes: Vec::new(),
            ttl_s,
            audience: audience.to_owned(),
        };
        let good = ours.mint(&new("tasktonic", 600), NOW_S);
        let tokens = vec![
            ("{expired}", ours.mint(&new("tasktonic", 600), NOW_S - 3_600)),
            ("{forged}", thief.mint(&new("tasktonic", 600), NOW_S)),
            ("{foreign}", ours.mint(&new("other", 600), NOW_S)),
            ("{none}", format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap())),
            ("{huge}", "a".repeat(9_000)),
            ("{good}", good),
        ];
        let policy = Policy::parse(["https://tasks.example.com", "http://localhost:8080"]).unwrap();
        Self { policy, verifier: Verifier::new(vec![trusted], 5).unwrap(), tokens }
    }

    fn fill(&self, text: &str) -> String {
        let fill = |text: String, (name, token): &(&str, String)| text.replace(name, token);
        self.tokens.iter().fold(text.to_owned(), fill)
    }

    fn headers(&self, case: &Case) -> Vec<(String, String)> {
        let host = case.host.as_deref().unwrap_or("tasks.example.com");
        let mut headers = Vec::new();
        if !host.is_empty() {
            headers.push(("Host".to_owned(), host.to_owned()));
        }
        headers.extend((0..case.filler).map(|n| (format!("x-filler-{n}"), "x".to_owned())));
        for (name, value) in &case.headers {
            headers.push((name.clone(), self.fill(value)));
        }
        headers
    }

    fn ask(&self, case: &Case, headers: &[(String, String)]) -> Verdict {
        let fields: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let head = Head { method: &case.method, target: &case.target, headers: &fields };
        let mut policy = self.policy.clone();
        policy.test_hooks = case.test_hooks;
        decide(&head, &policy, &self.verifier, NOW_S)
    }
}

fn route_name(route: Route) -> &'static str {
    match route {
        Route::Public => "public",
        Route::Auth => "auth",
        Route::Api => "api",
        Route::Socket => "socket",
        Route::EchoSocket => "echo",
        Route::Static => "static",
        Route::Login => "login",
        Route::Page => "page",
    }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Pass(pass) => {
            let user = pass.claims.as_ref().map_or("-", |claims| claims.user.as_str());
            format!("pass {} {user}", route_name(pass.route))
        }
        Verdict::Redirect { location, clear_cookies } => {
            let words = std::iter::once(location.as_str()).chain(clear_cookies.iter().copied());
            format!("redirect {}", words.collect::<Vec<_>>().join(" "))
        }
        Verdict::Refuse { code, .. } => format!("refuse {}", code.name()),
    }
}

/// The fields as they arrive behind the door.
fn behind(verdict: &Verdict, headers: &[(String, String)]) -> Vec<(String, String)> {
    let Verdict::Pass(pass) = verdict else { panic!("nothing arrives: {verdict:?}") };
    let set = |name: &str| pass.set_headers.iter().any(|(set, _)| *set == name);
    let lower = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut fields: Vec<_> =
        lower.filter(|(name, _)| !pass.remove_headers.contains(name) && !set(name)).collect();
    fields.extend(pass.set_headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    fields
}

fn cases() -> Vec<Case> {
    toml::from_str::<Cases>(include_str!("door_cases.toml")).unwrap().case
}

#[test]
fn every_row_of_the_table_gets_its_verdict() {
    let world = World::new();
    let mut wrong = Vec::new();
    for case in cases() {
        let headers = world.headers(&case);
        let verdict = world.ask(&case, &headers);
        if said(&verdict) != case.expect {
            wrong.push(format!("{}: {} and not {}", case.name, said(&verdict), case.expect));
            continue;
        }
        for (name, value) in &case.behind {
            let arrived: Vec<_> = behind(&verdict, &headers)
                .into_iter()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| value)
                .collect();
            let expect: Vec<_> = if value.is_empty() { vec![] } else { vec![world.fill(value)] };
            if arrived != expect {
                wrong.push(format!("{}: {name} arrives as {arrived:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_of_rows_are_unique() {
    let mut names: Vec<_> = cases().into_iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count > 100, "{count} rows");
}

#[test]
fn whatever_passes_shows_no_refresh_token_and_no_foreign_identity() {
    let world = World::new();
    let hostile = [
        ("X-TT-User", "root"),
        ("x_tt_user", "root"),
        ("X-Forwarded-Host", "hostile.example"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "host=hostile.example"),
        ("x-middleware-subrequest", "middleware"),
        ("Cookie", "__Host-tt_rt=secret; a=b; tt_rt=secret; tt_at=planted"),
    ];
    for case in cases() {
        let mut headers = world.headers(&case);
        headers.extend(hostile.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let verdict = world.ask(&case, &headers);
        let Verdict::Pass(pass) = &verdict else { continue };
        let arrived = behind(&verdict, &headers);
        for (name, value) in &arrived {
            assert!(pass.route == Route::Auth || !value.contains("secret"), "{}", case.name);
            assert!(!value.contains("root") && !value.contains("hostile"), "{}: {name}", case.name);
            assert!(!name.contains("middleware") && !name.contains('_'), "{}: {name}", case.name);
            if pass.scheme == Scheme::Https {
                assert!(!value.contains("planted"), "{}: {name}", case.name);
            }
        }
        let hosts = arrived.iter().filter(|(name, _)| name == "host").count();
        assert_eq!(hosts, 1, "{}", case.name);
    }
}

#[test]
fn no_request_shows_a_token_in_a_redirect_or_in_debug_output() {
    let world = World::new();
    for case in cases() {
        let headers = world.headers(&case);
        let text = format!("{:?}", world.ask(&case, &headers));
        for (name, token) in &world.tokens {
            assert!(!text.contains(token.as_str()), "{}: {name}", case.name);
        }
    }
}

#[test]
fn cookies_are_named_and_set_by_scheme() {
    let (plain, tls) = (CookieNames::of(Scheme::Http), CookieNames::of(Scheme::Https));
    let set = tls.set(tls.access, "x", 600);
    assert_eq!(set, "__Host-tt_at=x; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
    let clear = plain.clear(plain.refresh);
    assert_eq!(clear, "tt_rt=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

#[test]
fn only_refusals_of_the_head_close_the_connection() {
    for code in [Code::UnknownHost, Code::AmbiguousTarget, Code::BadRequest] {
        assert!(closes(code), "{code:?}");
    }
    for code in [Code::TokenMissing, Code::ForeignOrigin, Code::NotFound] {
        assert!(!closes(code), "{code:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_head_makes_the_door_panic_and_no_odd_path_passes(
        method in "GET|POST|OPTIONS|[A-Z]{1,9}",
        target in "/[a-z/.%;\\\\?#0-9A-F]{0,30}|.{0,40}",
        name in "cookie|authorization|origin|upgrade|sec-websocket-protocol|[a-z_-]{1,12}",
        value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
    ) {
        let world = World::new();
        let fields = [("host", &b"localhost:8080"[..]), (name.as_str(), &value[..])];
        let head = Head { method: &method, target: &target, headers: &fields };
        let verdict = decide(&head, &world.policy, &world.verifier, NOW_S);
        let path = target.split('?').next().unwrap_or_default().to_ascii_lowercase();
        let odd = ["//", "\\", ";", "%2f", "%5c", "%00", "%2e", "%25"]
            .iter()
            .any(|odd| path.contains(odd))
            || path.split('/').any(|segment| segment == "." || segment == "..");
        let refused = matches!(verdict, Verdict::Refuse { .. });
        proptest::prop_assert!(!odd || refused, "{} {:?}", target, verdict);
    }
}
