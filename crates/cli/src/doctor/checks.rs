//! What has to be so, check by check.

use super::Finding;
use super::ask::{Answer, Place};

/// What an answer must be.
type Wanted<'a> = &'a dyn Fn(&Answer) -> bool;

struct Checks<'a, F> {
    place: &'a Place,
    tell: F,
}

/// Runs all checks, in the order in which they make sense; without a gateway the first is the last.
pub(super) fn run(place: &Place, token: Option<&str>, tell: impl FnMut(Finding)) {
    let mut checks = Checks { place, tell };
    if !checks.is_there() {
        return;
    }
    checks.asks_for_tokens();
    checks.reads_requests_one_way();
    checks.has_sockets_in_one_place();
    checks.hides_what_is_its_own();
    if let Some(token) = token {
        checks.lets_in(token);
    }
}

impl<F: FnMut(Finding)> Checks<'_, F> {
    /// One request, by its line and its headers but `Host`.
    fn ask(&self, line: &str, headers: &str) -> Result<Answer, String> {
        let host = &self.place.authority;
        self.place.send(
            format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
                .as_bytes(),
        )
    }

    fn judge(
        &mut self,
        check: &'static str,
        answer: Result<Answer, String>,
        wanted: Wanted<'_>,
        advice: &'static str,
    ) -> bool {
        let (ok, saw) = match &answer {
            Ok(answer) => (wanted(answer), answer.shown()),
            Err(why) => (false, why.clone()),
        };
        (self.tell)(Finding { check, ok, saw, advice: (!ok).then_some(advice) });
        ok
    }

    fn is_there(&mut self) -> bool {
        let answer = self.ask("GET /healthz", "");
        let saw = answer.clone().unwrap_or_default();
        let advice = match (&answer, saw.status, saw.code()) {
            (Err(_), ..) => {
                "Is nginx running, and is this its address? Its error log says why it does not start."
            }
            (_, 503, Some("server_unavailable")) => {
                "nginx runs, but has no library, no door document or no server. Its error log says \
                 which: look for `tasktonic`, `door document` and `upstream`."
            }
            (_, 421, _) => {
                "It does not answer under this name. Use one that is configured in `[server] origins`, \
                 or add this one."
            }
            _ => "This is not a gateway of Task Tonic, or something before it answers instead.",
        };
        let there = self.judge("the gateway answers", answer, &|a| a.status == 200, advice);
        if !there {
            return false;
        }
        let ready = self.ask("GET /readyz", "");
        self.judge(
            "a server behind it is ready",
            ready,
            &|a| a.status == 200,
            "The server is up but not ready; GET /readyz says why.",
        );
        let plain = |a: &Answer| {
            !a.header("server").is_some_and(|s| s.contains(|c: char| c.is_ascii_digit()))
        };
        let answer = self.ask("GET /healthz", "");
        self.judge(
            "it does not tell its version",
            answer,
            &plain,
            "Put `server_tokens off;` into the http block, as the shipped configuration has it.",
        );
        true
    }

    fn asks_for_tokens(&mut self) {
        const OPEN: &str = "The guard does not run here: compare with gateway/nginx.conf.template, where \
                            every location either asks the guard or begins with @.";
        let answer = self.ask("GET /api/v1/tasks", "");
        self.judge("the API asks for a token", answer, &is(401, "token_missing"), OPEN);
        let answer = self.ask("POST /api/v1/files", "Content-Length: 0\r\n");
        self.judge("uploads ask for a token", answer, &is(401, "token_missing"), OPEN);
        let answer = self.ask("POST /api/v1/worker/sync", "Content-Length: 0\r\n");
        self.judge("workers need a token", answer, &is(401, "token_missing"), OPEN);
        let answer = self.ask("GET /tasks", "Accept: text/html\r\n");
        let to_sign_in = |a: &Answer| {
            a.status == 302 && a.header("location").is_some_and(|l| l.starts_with("/login?next="))
        };
        self.judge("pages lead to the sign-in", answer, &to_sign_in, OPEN);
        let answer = self.ask("GET /login", "Accept: text/html\r\n");
        self.judge(
            "the sign-in is served",
            answer,
            &|a| a.status == 200,
            "The servers of the pages do not answer; look at the upstream tt_pages and at their logs.",
        );
        // {"alg":"EdDSA","typ":"at+jwt","kid":"doctor"} and claims that look right.
        let claims = "eyJpc3MiOiJ0YXNrdG9uaWMiLCJhdWQiOiJ0YXNrdG9uaWMiLCJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiIsImV4cCI6NDEwMjQ0NDgwMH0";
        let header = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImRvY3RvciJ9";
        let forged = format!("Authorization: Bearer {header}.{claims}.{}\r\n", random_signature());
        let refused =
            |a: &Answer| a.status == 401 && a.code().is_some_and(|c| c.starts_with("token_"));
        const FORGED: &str = "Stop this installation: tokens are not checked. Then compare the \
                              configuration with the shipped one.";
        let answer = self.ask("GET /api/v1/tasks", &forged);
        self.judge("a forged token is refused", answer, &refused, FORGED);
        // {"alg":"none","typ":"at+jwt"}
        let none =
            format!("Authorization: Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.\r\n");
        let answer = self.ask("GET /api/v1/tasks", &none);
        self.judge("a token without a signature is refused", answer, &refused, FORGED);
        let spoofed = "X-TT-User: admin\r\nX-TT-Role: admin\r\nX-Forwarded-User: admin\r\n\
                       x-middleware-subrequest: middleware\r\n";
        let answer = self.ask("GET /api/v1/tasks", spoofed);
        self.judge(
            "identity headers of a client mean nothing",
            answer,
            &is(401, "token_missing"),
            "Something believes headers that anybody can send. Only a token says who asks.",
        );
    }

    fn reads_requests_one_way(&mut self) {
        const TARGET: &str = "Two readers could see two paths here. Is another proxy in front that \
                              rewrites paths? Have it pass them on as they are.";
        let end = "Connection: close\r\n\r\n";
        let foreign = format!("GET /login HTTP/1.1\r\nHost: doctor.invalid\r\n{end}");
        let answer = self.place.send(foreign.as_bytes());
        self.judge(
            "a foreign host is refused",
            answer,
            &is(421, "unknown_host"),
            "Only the names in `[server] origins` may be answered. A proxy in front has to pass on \
             the Host as it came.",
        );
        let host = &self.place.authority;
        let absolute = format!("GET http://{host}/healthz HTTP/1.1\r\nHost: {host}\r\n{end}");
        let answer = self.place.send(absolute.as_bytes());
        self.judge("the absolute form of a request is refused", answer, &status(400), TARGET);
        for (check, target) in [
            ("dot segments are refused", "/login/../api/v1/tasks"),
            ("encoded dots are refused", "/login/%2e%2e/api/v1/tasks"),
            ("encoded slashes are refused", "/login%2f..%2fapi"),
            ("doubled slashes are refused", "//api/v1/tasks"),
            ("path parameters are refused", "/api/..;/v1/tasks"),
        ] {
            let answer = self.ask(&format!("GET {target}"), "");
            self.judge(check, answer, &status(400), TARGET);
        }
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
        let answer = self.ask("POST /api/v1/auth/token", both);
        self.judge(
            "a body with two lengths is refused",
            answer,
            &status(400),
            "A request could hide in such a body. Use the nginx of your distribution with its updates.",
        );
        let two = "Authorization: Bearer a.b.c\r\nAuthorization: Bearer d.e.f\r\n";
        let answer = self.ask("GET /api/v1/tasks", two);
        self.judge("two tokens are refused", answer, &status(400), TARGET);
        let many: String = (0..110).map(|n| format!("x-doctor-{n}: x\r\n")).collect();
        let answer = self.ask("GET /login", &many);
        self.judge(
            "too many headers are refused",
            answer,
            &is(431, "headers_too_large"),
            "The guard does not see all headers: a token after the hundredth would be overlooked.",
        );
    }

    fn has_sockets_in_one_place(&mut self) {
        const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                               Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: tt.v1\r\n";
        const ELSEWHERE: &str = "Only the location @socket may pass an Upgrade on.";
        let answer = self.socket("/ws", UPGRADE);
        self.judge("a socket asks for a token", answer, &is(401, "token_missing"), ELSEWHERE);
        let answer = self.ask("GET /ws", "");
        self.judge("/ws speaks WebSocket only", answer, &is(426, "upgrade_required"), ELSEWHERE);
        let answer = self.socket("/ws", "Connection: Upgrade\r\nUpgrade: h2c\r\n");
        self.judge("/ws upgrades to nothing else", answer, &is(426, "upgrade_required"), ELSEWHERE);
        let answer = self.socket("/login", UPGRADE);
        self.judge("no other path is upgraded", answer, &|a| a.status != 101, ELSEWHERE);
    }

    fn socket(&self, path: &str, headers: &str) -> Result<Answer, String> {
        let host = &self.place.authority;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        // What stays open after a refusal is ended by a second request that says so.
        let last = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.place.send((request + &last).as_bytes())
    }

    fn hides_what_is_its_own(&mut self) {
        let asked = "GET /door HTTP/1.1\r\nHost: tasktonic-gateway\r\nConnection: close\r\n\r\n";
        let answer = self.place.send(asked.as_bytes());
        self.judge(
            "the door document cannot be reached from outside",
            answer,
            &|a| a.status != 200 && !a.body.contains("\"issuers\""),
            "The listener of `--gateway-listen` must not be behind the gateway, and not on a public address.",
        );
        let answer = self.ask("GET /.well-known/jwks.json", "");
        self.judge(
            "public keys are public, and no others",
            answer,
            &|a| {
                let private = ["\"d\":", "\"k\":", "\"p\":"];
                a.status == 200 && !private.iter().any(|member| a.body.contains(member))
            },
            "Make a new signing key at once if a private member was shown.",
        );
        let answer = self.ask("GET /openapi.json", "");
        let same = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
        let described = |a: &Answer| a.status == 200 && a.body.replace(": ", ":").contains(&same);
        self.judge(
            "server and this program are of one version",
            answer,
            &described,
            "Install both from one release; the description of the API (/openapi.json) names the server's.",
        );
        let answer = self.ask("GET /api/v1/tasks", "");
        let kind = |a: &Answer| a.header("content-type") == Some("application/problem+json");
        self.judge(
            "refusals are problem documents",
            answer,
            &kind,
            "Something in front answers with pages of its own; have it pass answers on.",
        );
    }

    fn lets_in(&mut self, token: &str) {
        const TOKEN: &str = "Is it an access token of this installation, and still good? \
                             `tasktonic token mint --user NAME` makes one.";
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let answer = self.ask("GET /api/v1/tasks?limit=1", &bearer);
        self.judge("a good token is let in", answer, &|a| a.status == 200, TOKEN);
        let upgrade = format!(
            "{bearer}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: tt.v1\r\n"
        );
        let answer = self.socket("/ws", &upgrade);
        self.judge(
            "a socket opens with a good token",
            answer,
            &|a| a.status == 101,
            "A proxy in front has to pass on Upgrade and Connection for /ws.",
        );
    }
}

fn status(expected: u16) -> impl Fn(&Answer) -> bool {
    move |answer| answer.status == expected
}

fn is(status: u16, code: &'static str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.status == status && answer.code() == Some(code)
}

/// 64 bytes in base64url.
fn random_signature() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |_| char::from(ALPHABET[usize::from(rand::random::<u8>() % 64)]);
    let mut text: String = (0..85).map(letter).collect();
    // The last character stands for two bits only.
    text.push('A');
    text
}
