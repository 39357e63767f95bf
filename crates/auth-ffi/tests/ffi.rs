//! The functions that C calls: the same verdicts as the door's own, no crash whatever comes in, and
//! a header that says what the code does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::c_char;

use proptest::prelude::*;
use tasktonic_auth::door::{Document, Door, Head, IssuerPart, Policy, Verdict, closes};
use tasktonic_auth::{Issuer, KeySet, NewToken, Role, SigningKey, TrustedIssuer};
use tasktonic_gateway::{
    CRequest, CVerdict, FIELDS_MAX, Field, Gateway, Text, tt_abi, tt_free, tt_guard, tt_new,
    tt_set_door,
};
use tasktonic_protocol::problem::Code;

const NOW_S: i64 = 1_800_000_000;
/// What nginx.conf says itself of every request.
const SAID_BY_NGINX: &[&str] =
    &["connection", "upgrade", "keep-alive", "te", "x-forwarded-host", "x-forwarded-proto"];

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

    /// The verdict, or the negative number.
    fn guard(&self, line: &[u8], fields: &[(String, Vec<u8>)]) -> Result<Said, i32> {
        let none = Field { name: Text::NONE, value: Text::NONE };
        let mut asked = CRequest {
            line: Text::of(line),
            address: Text::of(b"203.0.113.9"),
            now_s: NOW_S,
            count: i32::try_from(fields.len()).unwrap(),
            fields: [none; FIELDS_MAX],
        };
        for (at, (name, value)) in asked.fields.iter_mut().zip(fields) {
            *at = Field { name: Text::of(name.as_bytes()), value: Text::of(value) };
        }
        let mut shown = CVerdict::default();
        // SAFETY: all pointers are alive, and so are the texts they lead to.
        let code = unsafe { tt_guard(self.0, &raw const asked, &raw mut shown) };
        if code == 0 { Ok(Said::read(&shown)) } else { Err(code) }
    }
}

/// A verdict, copied as C would.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    place: String,
    user: String,
    client: String,
    body: String,
    cookie: String,
    scheme: String,
    wants_keys: bool,
    changes: Vec<(String, String)>,
}

impl Said {
    fn read(shown: &CVerdict) -> Self {
        let text = |text: Text| {
            let len = usize::try_from(text.len).unwrap();
            // SAFETY: a verdict's texts stand until the gateway is asked again.
            let bytes = unsafe { std::slice::from_raw_parts(text.data, len) };
            if len == 0 { String::new() } else { String::from_utf8(bytes.to_vec()).unwrap() }
        };
        let changes = (0..usize::try_from(shown.count).unwrap()).map(|at| {
            // SAFETY: as above; there are as many as it counts.
            let field = unsafe { *shown.changes.add(at) };
            (text(field.name), text(field.value))
        });
        Self {
            changes: changes.collect(),
            place: text(shown.place),
            user: text(shown.user),
            client: text(shown.client),
            body: text(shown.body),
            cookie: text(shown.cookie),
            scheme: text(shown.scheme),
            wants_keys: shown.wants_keys == 1,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: from `tt_new`, and used no more.
        unsafe { tt_free(self.0) }
    }
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

/// What crossed of a verdict, held against the verdict itself.
fn says(
    said: &Said,
    verdict: &Verdict,
    headers: &[(String, Vec<u8>)],
) -> Result<(), TestCaseError> {
    match verdict {
        Verdict::Pass(pass) => {
            let user = pass.claims.as_ref().map_or("", |claims| claims.user.as_str());
            prop_assert!(said.place.starts_with('@') && said.place[1..].parse::<i32>().is_err());
            prop_assert_eq!(&said.user, user);
            prop_assert_eq!(&said.scheme, pass.scheme.name());
            let removed = pass.remove_headers.iter().map(|name| (name.as_str(), ""));
            let set = pass.set_headers.iter().map(|(name, value)| (*name, value.as_str()));
            let mut left = said.changes.iter();
            for (name, value) in removed.chain(set) {
                let came: Vec<_> =
                    headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).collect();
                let as_it_came = matches!(&came[..], [(_, one)] if one == value.as_bytes());
                if SAID_BY_NGINX.contains(&name) || as_it_came {
                    continue;
                }
                let next = left.next().map(|(name, value)| (name.as_str(), value.as_str()));
                prop_assert_eq!(next, Some((name, value)));
            }
            prop_assert_eq!(left.next(), None);
        }
        Verdict::Redirect { location, clear_cookies } => {
            prop_assert!(said.place == "@302" || said.place == "@303");
            prop_assert_eq!(&said.body, location);
            prop_assert_eq!(said.cookie.is_empty(), clear_cookies.is_empty());
        }
        Verdict::Refuse { code, .. } => {
            prop_assert_eq!(&said.place, &format!("@{}", code.status()));
            // As nginx.conf ends it.
            let body = format!("{},\"instance\":\"the-id\"}}", said.body);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&body["code"], code.name());
            prop_assert!(said.changes.is_empty() && said.user.is_empty());
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
    let said = handle.guard(format!("{method} {target} HTTP/1.1").as_bytes(), headers).unwrap();
    let fields: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let verdict = door.decide(&Head { method, target, headers: &fields }, NOW_S);
    let breaks = |text: &str| text.contains(['\n', '\r', '\0']);
    if let Verdict::Pass(pass) = &verdict
        && pass.set_headers.iter().any(|(_, value)| breaks(value))
    {
        // Nothing that comes out of nginx holds such; it is refused whatever it says.
        prop_assert_eq!(&said.place, "@400");
        return Ok(());
    }
    says(&said, &verdict, headers)
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
fn no_bytes_crash_it() {
    let handle = Handle::with(&document(&issuer()));
    let config = ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() };
    proptest!(config, |(
        line in prop::collection::vec(any::<u8>(), 0..64),
        fields in prop::collection::vec(
            ("\\PC{0,12}", prop::collection::vec(any::<u8>(), 0..64)), 0..12),
    )| {
        let said = handle.guard(&line, &fields).unwrap();
        prop_assert!(said.place.starts_with('@'));
        let (code, reason) = handle.set(&line);
        prop_assert!(code == -5 && !reason.is_empty());
    });
    // The door that was there still answers.
    let fine = [("host".to_owned(), b"tasks.example.com".to_vec())];
    assert_eq!(handle.guard(b"GET /healthz HTTP/1.1", &fine).unwrap().place, "@public");
}

#[test]
fn a_name_that_is_no_text_is_no_request() {
    let handle = Handle::with(&document(&issuer()));
    let none = Field { name: Text::NONE, value: Text::NONE };
    let mut asked = CRequest {
        line: Text::of(b"GET / HTTP/1.1"),
        address: Text::of(b"::1"),
        now_s: NOW_S,
        count: 1,
        fields: [none; FIELDS_MAX],
    };
    asked.fields[0].name = Text::of(b"x\xFF");
    let mut shown = CVerdict::default();
    // SAFETY: all pointers are alive.
    assert_eq!(unsafe { tt_guard(handle.0, &raw const asked, &raw mut shown) }, -2);
    assert_eq!(shown.place.len, 0, "nothing is written");
}

#[test]
fn whoever_may_have_more_fields_than_are_looked_at_is_refused() {
    let handle = Handle::with(&document(&issuer()));
    let host = ("host".to_owned(), b"tasks.example.com".to_vec());
    let ask = |count: usize| {
        let mut fields = vec![("a".to_owned(), Vec::new()); count - 1];
        fields.push(host.clone());
        handle.guard(b"GET /healthz HTTP/1.1", &fields).unwrap().place
    };
    assert_eq!(ask(FIELDS_MAX), "@431");
    // Also where the door itself would look at as many.
    let policy = Policy::parse(["https://tasks.example.com"]).unwrap();
    let mut wide = policy.clone();
    wide.limits.headers_max = 10_000;
    assert_eq!(handle.set(Document::new(&wide, 5, Vec::new()).to_json().as_bytes()).0, 0);
    assert_eq!((ask(FIELDS_MAX - 1).as_str(), ask(FIELDS_MAX).as_str()), ("@public", "@431"));
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
    let ask = |token: &str| {
        let headers = [
            ("Host".to_owned(), b"tasks.example.com".to_vec()),
            ("Authorization".to_owned(), format!("Bearer {token}").into_bytes()),
        ];
        let said = handle.guard(b"GET /api/v1/tasks HTTP/1.1", &headers).unwrap();
        (said.place, said.wants_keys)
    };
    assert_eq!(ask(&token(&known)), ("@api".to_owned(), false));
    assert_eq!(ask(&token(&other)), ("@401".to_owned(), true));
    assert_eq!(ask(&token(&known)), ("@api".to_owned(), false));
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
    *mut Gateway => "tt_gateway *",
    *const CRequest => "const tt_request *",
    *mut CVerdict => "tt_verdict *",
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
        prototype!(tt_set_door(gateway: *mut Gateway, json: *const c_char, len: usize, out: *mut c_char, cap: usize) -> i32),
        prototype!(tt_guard(gateway: *mut Gateway, request: *const CRequest, verdict: *mut CVerdict) -> i32),
    ];
    let declared: Vec<&str> =
        header.lines().filter(|line| line.contains("tt_") && line.ends_with(");")).collect();
    assert_eq!(declared, prototypes);
    assert_eq!(tt_abi(), 2);
    assert!(tasktonic_gateway_conf::LUA.contains("lib.tt_abi() == 2"));
    assert!(header.contains(&format!("TT_FIELDS = {FIELDS_MAX} ")));
    for code in ["-1 null", "-2 not a request", "-4 no door", "-5 document", "-99 a panic"] {
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

#[test]
fn what_crosses_lies_where_c_looks_for_it() {
    use std::mem::{offset_of, size_of};

    let mut source = format!("{}\n", tasktonic_gateway_conf::HEADER);
    let mut holds = |what: String, value: usize| {
        source += &format!("_Static_assert({what} == {value}, \"{what}\");\n");
    };
    macro_rules! laid_out {
        ($rust:ident as $c:literal: $($member:ident),*) => {
            holds(format!("sizeof({})", $c), size_of::<$rust>());
            $(holds(
                format!("offsetof({}, {})", $c, stringify!($member)),
                offset_of!($rust, $member),
            );)*
        };
    }
    laid_out!(Text as "tt_text": len, data);
    laid_out!(Field as "tt_field": name, value);
    laid_out!(CRequest as "tt_request": line, address, now_s, count, fields);
    laid_out!(
        CVerdict as "tt_verdict":
        place, user, client, body, cookie, scheme, wants_keys, count, changes
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layout.c");
    std::fs::write(&file, source).unwrap();
    let compiler = std::process::Command::new("cc").arg("-fsyntax-only").arg(&file).output();
    let compiler = compiler.unwrap();
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
}
