//! Signing in, staying signed in, and signing out, over HTTP.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::json;
use support::{Answer, Running, start};
use tasktonic_auth::Role;

const PASSWORD: &str = "correct horse battery";

async fn with_ana() -> Running {
    let server = start().await;
    server.identity.create_account("ana", PASSWORD, Role::User).await.unwrap();
    server
}

async fn login(server: &Running, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    server.ask("POST", "/api/v1/auth/token", &[], &body).await
}

async fn renew(server: &Running, token: &str) -> Answer {
    let body = json!({ "refresh_token": token }).to_string();
    server.ask("POST", "/api/v1/auth/refresh", &[], &body).await
}

fn text(answer: &Answer, member: &str) -> String {
    answer.json()[member].as_str().unwrap_or_else(|| panic!("{member} in {answer:?}")).to_owned()
}

#[tokio::test]
async fn a_login_gives_a_token_that_opens_the_api_and_a_wrong_one_says_nothing() {
    let server = with_ana().await;
    let answer = login(&server, "Ana ", PASSWORD).await;
    assert_eq!((answer.status, text(&answer, "user")), (200, "ana".into()));
    assert_eq!(answer.json()["expires_in"], 600);
    assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
    let bearer = format!("Bearer {}", text(&answer, "access_token"));
    let me = server.ask("GET", "/api/v1/me", &[("Authorization", &bearer)], "").await;
    assert_eq!(
        (me.status, text(&me, "user"), text(&me, "name")),
        (200, "ana".into(), "ana".into())
    );
    let verified =
        server.ask("GET", "/api/v1/auth/verify", &[("Authorization", &bearer)], "").await;
    assert_eq!((verified.status, verified.header("x-tt-user").as_deref()), (204, Some("ana")));
    assert_eq!(server.ask("GET", "/api/v1/auth/verify", &[], "").await.status, 401);

    let wrong = login(&server, "ana", "wrong password").await;
    let unknown = login(&server, "nobody", "wrong password").await;
    assert_eq!((wrong.status, wrong.code()), (401, "credentials_invalid".into()));
    let without_id = |answer: &Answer| {
        let mut body = answer.json();
        body["instance"] = json!("");
        (answer.status, body)
    };
    assert_eq!(without_id(&wrong), without_id(&unknown));
    for body in ["", "{}", "[]", r#"{"username":"a","password":"b","x":1}"#, "\u{0}"] {
        let refused = server.ask("POST", "/api/v1/auth/token", &[], body).await;
        assert!((400..500).contains(&refused.status), "{body}: {refused:?}");
        assert!(!refused.body.contains("password\":\"b"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let server = with_ana().await;
    let first = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    let second = text(&renew(&server, &first).await, "refresh_token");
    assert_ne!(first, second);
    // Another tab that was a moment late gets the same successor.
    assert_eq!(text(&renew(&server, &first).await, "refresh_token"), second);
    let third = text(&renew(&server, &second).await, "refresh_token");
    assert_eq!(renew(&server, &first).await.status, 401, "older than the last: theft");
    assert_eq!(renew(&server, &third).await.status, 401, "and the thief's successor is gone too");
    for nonsense in ["", "x", "a.b", &"A".repeat(5_000)] {
        assert_eq!(renew(&server, nonsense).await.status, 401, "{nonsense}");
    }
}

#[tokio::test]
async fn many_tabs_that_renew_at_once_all_get_the_same_successor() {
    let server = with_ana().await;
    let first = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    let answers = futures_util::future::join_all((0..20).map(|_| renew(&server, &first))).await;
    let mut tokens: Vec<String> =
        answers.iter().map(|answer| text(answer, "refresh_token")).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(renew(&server, &tokens[0]).await.status, 200);
}

#[tokio::test]
async fn a_browsers_cookies_are_renewed_and_cleared_and_hold_no_readable_token() {
    let server = with_ana().await;
    let token = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    let own = format!("http://{}", server.addr);
    let cookie = format!("tt_rt={token}");
    let foreign = server.ask("POST", "/api/v1/auth/refresh", &[("Cookie", &cookie)], "").await;
    assert_eq!((foreign.status, foreign.code()), (403, "foreign_origin".into()));
    let headers = [("Cookie", cookie.as_str()), ("Origin", own.as_str())];
    let renewed = server.ask("POST", "/api/v1/auth/refresh", &headers, "").await;
    assert_eq!((renewed.status, &renewed.json()["expires_in"]), (200, &json!(600)));
    assert!(renewed.json().get("access_token").is_none());
    let cookies = renewed.all("set-cookie");
    assert_eq!(cookies.len(), 2);
    for (cookie, name) in cookies.iter().zip(["tt_at=", "tt_rt="]) {
        assert!(cookie.starts_with(name), "{cookie}");
        for word in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
            assert!(cookie.contains(word), "{word} in {cookie}");
        }
    }
    let next = cookies[1].split(';').next().unwrap().to_owned();

    // A navigation: renewed and on to where it was going.
    let path = "/api/v1/auth/refresh?next=%2Ftasks%3Fstatus%3Dfailed";
    let went = server.ask("GET", path, &[("Cookie", &next)], "").await;
    assert_eq!(
        (went.status, went.header("location").as_deref()),
        (303, Some("/tasks?status=failed"))
    );
    let latest = went.all("set-cookie")[1].split(';').next().unwrap().to_owned();
    for evil in ["//evil.example", "https://evil.example", "/%5Cevil.example", "/login"] {
        let path = format!("/api/v1/auth/refresh?next={evil}");
        let went = server.ask("GET", &path, &[("Cookie", &latest)], "").await;
        assert_eq!(went.header("location").as_deref(), Some("/tasks"), "{evil}: {went:?}");
    }

    let headers = [("Cookie", latest.as_str()), ("Origin", own.as_str())];
    let out = server.ask("POST", "/api/v1/auth/logout", &headers, "").await;
    assert_eq!(out.status, 204, "{out:?}");
    assert!(out.all("set-cookie").iter().all(|cookie| cookie.contains("Max-Age=0")));
    let gone =
        server.ask("GET", "/api/v1/auth/refresh?next=/tasks/x", &[("Cookie", &latest)], "").await;
    assert_eq!(gone.header("location").as_deref(), Some("/login?next=/tasks/x"));
    assert_eq!(gone.all("set-cookie").len(), 2, "both are cleared, or the two redirects never end");
}

#[tokio::test]
async fn guessing_is_slowed_down_per_account() {
    let server = with_ana().await;
    let mut last = login(&server, "ana", "wrong password 0").await;
    for n in 1..15 {
        last = login(&server, "ana", &format!("wrong password {n}")).await;
        if last.status == 429 {
            break;
        }
    }
    assert_eq!((last.status, last.code()), (429, "too_many_requests".into()));
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(login(&server, "ana", PASSWORD).await.status, 429, "the right one waits too");
}

#[tokio::test]
async fn a_disabled_account_and_a_changed_password_end_what_was_signed_in() {
    let server = with_ana().await;
    let token = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    server.identity.set_password("ana", "another good password").await.unwrap();
    assert_eq!(renew(&server, &token).await.status, 401);
    let token = text(&login(&server, "ana", "another good password").await, "refresh_token");
    server.identity.set_disabled("ana", true).await.unwrap();
    assert_eq!(renew(&server, &token).await.status, 401);
    assert_eq!(login(&server, "ana", "another good password").await.status, 401);
    let twice = server.identity.create_account("ana", PASSWORD, Role::User).await;
    assert!(twice.unwrap_err().to_string().contains("already"));
}

#[tokio::test]
async fn the_public_keys_verify_our_tokens_and_hold_nothing_private() {
    let server = start().await;
    let answer = server.ask("GET", "/.well-known/jwks.json", &[], "").await;
    let keys = tasktonic_auth::KeySet::from_jwks(answer.body.as_bytes(), None).unwrap();
    let payload = tasktonic_auth::jws::verify_compact(server.token("ana"), &keys, None);
    assert!(payload.is_ok());
    assert!(answer.json()["keys"][0].get("d").is_none());
}

#[tokio::test]
async fn over_tls_cookies_have_the_prefix_that_no_other_site_can_plant() {
    let mut config = support::config();
    config.origins = vec!["https://tasks.example.com".to_owned()];
    let server = support::start_with(config).await;
    server.identity.create_account("ana", PASSWORD, Role::User).await.unwrap();
    let token = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    let ask = async |method: &str, path: &str, cookie: &str, origin: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: tasks.example.com\r\nConnection: close\r\n\
             Cookie: {cookie}\r\nOrigin: {origin}\r\n\r\n"
        );
        Answer::read(&server.raw(&request, support::SOON).await)
    };
    let (path, own) = ("/api/v1/auth/refresh", "https://tasks.example.com");
    let planted = ask("POST", path, &format!("tt_rt={token}"), own).await;
    assert_eq!((planted.status, planted.code()), (401, "token_missing".into()));
    let cookie = format!("__Host-tt_rt={token}");
    for origin in ["http://tasks.example.com", "https://tasks.example.com:8443", "null"] {
        assert_eq!(ask("POST", path, &cookie, origin).await.code(), "foreign_origin", "{origin}");
    }
    let renewed = ask("POST", path, &cookie, own).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let cookies = renewed.all("set-cookie");
    for (cookie, name) in cookies.iter().zip(["__Host-tt_at=", "__Host-tt_rt="]) {
        let whole = cookie.starts_with(name)
            && cookie.ends_with("; HttpOnly; SameSite=Lax; Secure")
            && cookie.contains("; Path=/; ")
            && !cookie.contains("Domain");
        assert!(whole, "{cookie}");
    }
    let access = cookies[0].split(';').next().unwrap();
    assert_eq!(ask("GET", "/api/v1/me", access, own).await.json()["user"], "ana");
    let plain = access.trim_start_matches("__Host-");
    assert_eq!(ask("GET", "/api/v1/me", plain, own).await.code(), "token_missing");
    let refresh = cookies[1].split(';').next().unwrap();
    let out = ask("POST", "/api/v1/auth/logout", refresh, own).await;
    assert_eq!(out.status, 204);
    for cookie in out.all("set-cookie") {
        assert!(cookie.starts_with("__Host-tt_") && cookie.contains("Max-Age=0"), "{cookie}");
        assert!(cookie.ends_with("; Secure"), "without it a browser keeps the cookie: {cookie}");
    }
}

#[tokio::test]
async fn a_navigation_to_an_address_that_cannot_be_read_still_goes_on() {
    let server = with_ana().await;
    let token = text(&login(&server, "ana", PASSWORD).await, "refresh_token");
    let cookie = format!("tt_rt={token}");
    for (query, to) in [("next=%2Fa&next=%2Fb", "/tasks"), ("next=%FF", "/tasks")] {
        let path = format!("/api/v1/auth/refresh?{query}");
        let went = server.ask("GET", &path, &[("Cookie", &cookie)], "").await;
        // The first has renewed; within the grace the same token gives the same successor.
        assert_eq!((went.status, went.header("location").as_deref()), (303, Some(to)), "{query}");
    }
}

#[tokio::test]
async fn a_password_is_never_changed_to_the_accounts_own_name() {
    let server = start().await;
    server.identity.create_account("ana-lovelace", PASSWORD, Role::User).await.unwrap();
    let refused = server.identity.set_password("ana-lovelace", "Ana-Lovelace").await;
    assert!(refused.unwrap_err().to_string().contains("choose another"));
    assert_eq!(login(&server, "ana-lovelace", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn keys_of_an_issuer_are_taken_over_when_their_file_changes_and_a_bad_file_is_not() {
    use tasktonic_auth::{Issuer, NewToken, SigningKey};

    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    let issuer = || Issuer::new("https://id.example", SigningKey::generate());
    let (first, second) = (issuer(), issuer());
    let write = |text: &str| {
        // As whoever keeps it fresh does it: whole, by renaming.
        let new = folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &jwks).unwrap();
    };
    write(&first.jwks_json());
    let file = tasktonic_server::IssuerFile {
        issuer: "https://id.example".to_owned(),
        audience: "tasks".to_owned(),
        jwks: jwks.clone(),
        algorithm: None,
        secrets: false,
        role_claim: None,
        roles: Vec::new(),
    };
    let server = support::start_trusting(support::config(), vec![file]).await;
    let status = async |issuer: &Issuer| {
        let new = NewToken {
            subject: "ana".to_owned(),
            role: Role::Admin,
            name: None,
            scopes: Vec::new(),
            ttl_s: 600,
            audience: "tasks".to_owned(),
        };
        let token = issuer.mint(&new, tasktonic_store::clock::Clock::system().now_ms() / 1_000);
        let bearer = format!("Bearer {token}");
        let me = server.ask("GET", "/api/v1/me", &[("Authorization", &bearer)], "").await;
        if me.status == 200 {
            assert_eq!(me.json()["role"], "user", "what they call somebody means nothing here");
            assert_ne!(me.json()["user"], "ana", "our ana is somebody else");
        }
        me.status
    };
    assert_eq!((status(&first).await, status(&second).await), (200, 401));
    write(&format!(" {}", second.jwks_json()));
    let taken = tokio::time::timeout(support::SOON * 2, async {
        while status(&second).await != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    taken.await.expect("the new keys count");
    assert_eq!(status(&first).await, 401, "and the old ones no longer");
}
