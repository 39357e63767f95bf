//! The functions that C calls: the same verdicts as the door's own, no crash whatever comes in, and
//! a header that says what the code does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::c_char;

use proptest::prelude::*;
use tasktonic_auth::door::{Document, Door, Head, IssuerPart, Policy, Verdict, closes};
use tasktonic_auth::{Issuer, KeySet, NewToken, Role, SigningKey, TrustedIssuer};
use tasktonic_gateway::{
    Gateway, put, tt_abi, tt_free, tt_guard, tt_new, tt_set_door, tt_wants_keys,
};
use tasktonic_protocol::problem::Code;

const NOW_S: i64 = 1_800_000_000;
/// As in the Lua module.
const BUFFER_BYTES: usize = 131_072;

fn issuer() -> Issuer {
    Issuer::new("tasktonic", SigningKey::generate())
}

fn document(issuer: &Issuer) -> String {
    let policy = Policy::parse(["https://tasks.example.com", "http://localhost:8080"]).unwrap();
    let own = TrustedIssuer::built_in("tasktonic", "tasktonic", KeySet::default());
    let part = IssuerPart::new(&own, issuer.jwks_json().as_bytes(), None, false).unwrap();
    Document::new(&policy, 5, vec![part]).to_json()
}

fn token(issuer: &Issuer) -> String {
    let new = NewToken {
        subject: "ada".to_owned(),
        role: Role::User,
        name: None,
        scopes: Vec::new(),
        ttl_s: 600,
        audience: "tasktonic".to_owned(),
    };
    issuer.mint(&new, NOW_S)
}

/// A gateway as C has it.
struct Handle(*mut Gateway);

impl Handle {
    fn with(document: &str) -> Self {
        let handle = Self(tt_new());
        assert_eq!(handle.set(document.as_bytes()).0, 0);
        handle
    }

    fn set(&self, document: &[u8]) -> (i32, String) {
        let mut out = vec![0_u8; 512];
        // SAFETY: the gateway lives, and both buffers have the given lengths.
        let code = unsafe {
            tt_set_door(
                self.0,
                document.as_ptr().cast::<c_char>(),
                document.len(),
                out.as_mut_ptr().cast::<c_char>(),
                out.len(),
            )
        };
        let end = out.iter().position(|byte| *byte == 0).unwrap();
        (code, String::from_utf8_lossy(&out[..end]).into_owned())
    }

    /// The lines of the verdict, or the negative number.
    fn guard(&self, request: &[u8], cap: usize) -> Result<Vec<String>, i32> {
        // One byte more, to see that nothing is written behind the end.
        let mut out = vec![0xEE_u8; cap + 1];
        // SAFETY: the gateway lives, and both buffers have at least the given lengths.
        let size = unsafe {
            tt_guard(
                self.0,
                request.as_ptr().cast::<c_char>(),
                request.len(),
                NOW_S,
                out.as_mut_ptr().cast::<c_char>(),
                cap,
            )
        };
        let written = usize::try_from(size).map_err(|_| size)?;
        assert!(written <= cap && out[written..].iter().all(|byte| *byte == 0xEE));
        let text = String::from_utf8(out[..written].to_vec()).unwrap();
        assert!(text.ends_with('\n'));
        Ok(text[..text.len() - 1].split('\n').map(ToOwned::to_owned).collect())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: from `tt_new`, and used no more.
        unsafe { tt_free(self.0) }
    }
}

fn list(line: &str, headers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for text in [line, "203.0.113.9", "the-id"] {
        put(&mut list, text.as_bytes());
    }
    for (name, value) in headers {
        put(&mut list, name.as_bytes());
        put(&mut list, value);
    }
    list
}

fn any_target() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/api/v1/tasks".to_owned()),
        Just("/api/v1/files?x=1".to_owned()),
        Just("/tasks?a=b".to_owned()),
        Just("/login".to_owned()),
        Just("/ws".to_owned()),
        Just("/api/v1/auth/token".to_owned()),
        Just("/_next/static/a.js".to_owned()),
        "/[a-z./%;2ef\\\\-]{0,24}",
        "[ -~]{0,24}",
    ]
}

fn any_headers(good: String) -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let texts = |all: &'static [&'static str]| prop::sample::select(all);
    let hosts = &["tasks.example.com", "localhost:8080", "evil.example", "TASKS.example.com:443"];
    let origins = &["https://tasks.example.com", "https://evil.example", "null"];
    let host = texts(hosts).prop_map(|host| ("Host".to_owned(), host.as_bytes().to_vec()));
    let field = |name: &'static str, value: String| Just((name.to_owned(), value.into_bytes()));
    let more = prop_oneof![
        field("Authorization", format!("Bearer {good}")),
        field("Authorization", format!("bearer {good}x")),
        field("Cookie", format!("__Host-tt_at={good}; tt_rt=r; a=b")),
        field("Cookie", format!("tt_at={good}")),
        texts(origins).prop_map(|origin| ("Origin".to_owned(), origin.as_bytes().to_vec())),
        field("Connection", "keep-alive, Upgrade".to_owned()),
        field("Upgrade", "websocket".to_owned()),
        field("Sec-WebSocket-Protocol", format!("tt.v1, tt.jwt.{good}")),
        field("X-TT-User", "root".to_owned()),
        field("RSC", "1".to_owned()),
        ("[A-Za-z_-]{1,12}", prop::collection::vec(any::<u8>(), 0..24)),
    ];
    (host, prop::collection::vec(more, 0..8)).prop_map(|(host, mut more)| {
        more.push(host);
        more
    })
}

/// What the lines say of a verdict, held against the verdict itself.
fn says(lines: &[String], verdict: &Verdict) -> Result<(), TestCaseError> {
    match verdict {
        Verdict::Pass(pass) => {
            let user = pass.claims.as_ref().map_or("", |claims| claims.user.as_str());
            prop_assert!(lines[0].starts_with("@") && lines[0].parse::<i32>().is_err());
            prop_assert_eq!(&lines[1], user);
            let mut pairs = Vec::new();
            for name in &pass.remove_headers {
                pairs.push((name.as_str(), ""));
            }
            for (name, value) in &pass.set_headers {
                pairs.push((name, value.as_str()));
            }
            let said: Vec<(&str, &str)> =
                lines[5..].chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
            prop_assert_eq!(said, pairs);
        }
        Verdict::Redirect { location, clear_cookies } => {
            prop_assert!(lines[0] == "@302" || lines[0] == "@303");
            prop_assert_eq!(&lines[3], location);
            prop_assert_eq!(lines[4].is_empty(), clear_cookies.is_empty());
        }
        Verdict::Refuse { code, .. } => {
            prop_assert_eq!(&lines[0], &format!("@{}", code.status()));
            let body: serde_json::Value = serde_json::from_str(&lines[3]).unwrap();
            prop_assert_eq!(&body["code"], code.name());
            prop_assert_eq!(&body["instance"], "the-id");
            prop_assert_eq!(lines.len(), 5);
        }
    }
    Ok(())
}

fn same_verdict(
    handle: &Handle,
    door: &Door,
    method: &str,
    target: &str,
    headers: &[(String, Vec<u8>)],
) -> Result<(), TestCaseError> {
    let lines = handle.guard(&list(&format!("{method} {target} HTTP/1.1"), headers), BUFFER_BYTES);
    let fields: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let verdict = door.decide(&Head { method, target, headers: &fields }, NOW_S);
    let lines = lines.unwrap();
    let breaks = |text: &str| text.contains(['\n', '\r', '\0']);
    if let Verdict::Pass(pass) = &verdict
        && pass.set_headers.iter().any(|(_, value)| breaks(value))
    {
        // Nothing that comes out of nginx holds such; it is refused whatever it says.
        prop_assert_eq!(&lines[0], "@400");
        return Ok(());
    }
    says(&lines, &verdict)
}

#[test]
fn the_verdict_over_the_border_is_that_of_the_door() {
    let issuer = issuer();
    let document = document(&issuer);
    let (handle, door) = (Handle::with(&document), Door::read(document.as_bytes()).unwrap());
    let methods = prop::sample::select(&["GET", "HEAD", "POST", "PUT", "TRACE", "get"][..]);
    let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() };
    proptest!(config, |(
        method in methods,
        target in any_target(),
        headers in any_headers(token(&issuer)),
    )| {
        same_verdict(&handle, &door, method, &target, &headers)?;
    });
}

#[test]
fn no_bytes_crash_it_and_none_are_written_behind_the_buffer() {
    let handle = Handle::with(&document(&issuer()));
    let config = ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() };
    proptest!(config, |(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
        near in "([0-9]{1,3}:[ -~]{0,20}){0,12}",
        cap in 0_usize..600,
    )| {
        for request in [bytes.as_slice(), near.as_bytes()] {
            if let Err(code) = handle.guard(request, cap) {
                prop_assert!([-2, -3].contains(&code), "{}", code);
            }
            let (code, reason) = handle.set(request);
            prop_assert!(code == -5 && !reason.is_empty());
        }
    });
    // The door that was there still answers.
    let fine = list("GET /healthz HTTP/1.1", &[("host".into(), b"tasks.example.com".to_vec())]);
    assert_eq!(handle.guard(&fine, BUFFER_BYTES).unwrap()[0], "@public");
}

#[test]
fn a_mutated_document_is_taken_whole_or_not_at_all() {
    let issuer = issuer();
    let good = document(&issuer);
    let handle = Handle::with(&good);
    let config = ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() };
    proptest!(config, |(at in 0..good.len(), byte: u8, cut: bool)| {
        let mut bytes = good.clone().into_bytes();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let (code, reason) = handle.set(&bytes);
        prop_assert!(code == 0 || code == -5);
        // A reason goes into a log.
        prop_assert!(reason.len() < 512 && !reason.contains("\"x\""));
    });
    assert_eq!(handle.set(good.as_bytes()).0, 0);
}

#[test]
fn an_unknown_key_asks_for_a_newer_document_once() {
    let (known, other) = (issuer(), issuer());
    let handle = Handle::with(&document(&known));
    // SAFETY: the gateway lives.
    let wants = || unsafe { tt_wants_keys(handle.0) };
    let ask = |token: &str| {
        let headers = [
            ("Host".to_owned(), b"tasks.example.com".to_vec()),
            ("Authorization".to_owned(), format!("Bearer {token}").into_bytes()),
        ];
        handle.guard(&list("GET /api/v1/tasks HTTP/1.1", &headers), BUFFER_BYTES).unwrap()
    };
    assert_eq!((ask(&token(&known))[0].as_str(), wants()), ("@api", 0));
    assert_eq!(ask(&token(&other))[0], "@401");
    assert_eq!((wants(), wants()), (1, 0));
}

#[test]
fn everything_that_ends_here_has_a_place_in_the_configuration() {
    // What the door can refuse with, and the places after which the connection ends.
    let codes = [
        Code::TokenMissing,
        Code::TokenInvalid,
        Code::TokenExpired,
        Code::TokenAlgorithm,
        Code::ForeignOrigin,
        Code::UnknownHost,
        Code::AmbiguousTarget,
        Code::HeadersTooLarge,
        Code::UpgradeRequired,
        Code::MethodNotAllowed,
        Code::NotFound,
        Code::BadRequest,
    ];
    let template = tasktonic_gateway_conf::TEMPLATE;
    for code in codes {
        let place = format!("location @{} {{", code.status());
        let rest = template.split(&place).nth(1).unwrap_or_else(|| panic!("no {place}"));
        let body = rest.split("return").next().unwrap();
        assert_eq!(body.contains("keepalive_timeout 0"), closes(code), "{place}");
    }
    for place in [
        "@302",
        "@303",
        "@public",
        "@auth",
        "@api",
        "@worker",
        "@upload",
        "@socket",
        "@login",
        "@page",
        "@static",
        "@immutable",
    ] {
        assert!(template.contains(&format!("location {place} {{")), "{place}");
    }
    // The words of what nginx says by itself are ours.
    for name in [
        "bad_request",
        "not_found",
        "method_not_allowed",
        "payload_too_large",
        "too_many_requests",
        "headers_too_large",
        "pages_unavailable",
        "server_unavailable",
        "outcome_unknown",
    ] {
        let code = Code::from_name(name).unwrap();
        assert!(template.contains(&format!("{name} \"{}\";", code.title())), "{name}");
    }
}

/// The C name of a Rust type at the border.
trait InC {
    const NAME: &'static str;
}
macro_rules! in_c {
    ($($rust:ty => $c:literal,)*) => { $(impl InC for $rust { const NAME: &'static str = $c; })* };
}
in_c! {
    () => "void",
    u32 => "uint32_t ",
    i32 => "int32_t ",
    i64 => "int64_t ",
    usize => "size_t ",
    *const c_char => "const char *",
    *mut c_char => "char *",
    *const Gateway => "const tt_gateway *",
    *mut Gateway => "tt_gateway *",
}
macro_rules! prototype {
    ($name:ident ( $($arg:ident : $of:ty),* ) -> $result:ty) => {{
        // Another type in the code does not compile here.
        let _: unsafe extern "C" fn($($of),*) -> $result = $name;
        let args: &[String] = &[$(format!("{}{}", <$of as InC>::NAME, stringify!($arg))),*];
        let args = if args.is_empty() { "void".to_owned() } else { args.join(", ") };
        let result = <$result as InC>::NAME;
        let space = if result.ends_with(['*', ' ']) { "" } else { " " };
        format!("{result}{space}{}({args});", stringify!($name))
    }};
}

#[test]
fn the_header_says_what_the_code_does() {
    let header = tasktonic_gateway_conf::HEADER;
    let prototypes = [
        prototype!(tt_abi() -> u32),
        prototype!(tt_new() -> *mut Gateway),
        prototype!(tt_free(gateway: *mut Gateway) -> ()),
        prototype!(tt_set_door(gateway: *const Gateway, json: *const c_char, len: usize, out: *mut c_char, cap: usize) -> i32),
        prototype!(tt_guard(gateway: *const Gateway, request: *const c_char, len: usize, now_s: i64, out: *mut c_char, cap: usize) -> i32),
        prototype!(tt_wants_keys(gateway: *const Gateway) -> i32),
    ];
    let declared: Vec<&str> =
        header.lines().filter(|line| line.contains("tt_") && line.ends_with(");")).collect();
    assert_eq!(declared, prototypes);
    assert_eq!(tt_abi(), 1);
    let lua = tasktonic_gateway_conf::LUA;
    assert!(lua.contains("lib.tt_abi() == 1") && lua.contains(&BUFFER_BYTES.to_string()));
    for code in [
        "-1 null",
        "-2 not a request",
        "-3 buffer too small",
        "-4 no door",
        "-5 document",
        "-99 a panic",
    ] {
        assert!(header.contains(code), "{code}");
    }
}

#[test]
fn all_lua_together_is_less_than_sixty_lines_of_code() {
    let code = |text: &str| {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with("--")).count()
    };
    let inside = tasktonic_gateway_conf::TEMPLATE.matches("_by_lua_block").count()
        + tasktonic_gateway_conf::TEMPLATE.matches("{{GUARD}}").count();
    let all = code(tasktonic_gateway_conf::LUA) + inside;
    assert!(all < 60, "{all} lines");
}
