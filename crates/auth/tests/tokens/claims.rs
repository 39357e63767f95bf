//! The attacks on the claims of tokens, on what is remembered of them, and on what is said about
//! them; and what honest tokens say.

use serde_json::{Value, json};
use tasktonic_auth::jws::verify_compact;
use tasktonic_auth::{
    Algorithm, Issuer, KeySet, NewToken, Refusal, Role, SigningKey, TrustedIssuer, Verifier,
};
use tasktonic_protocol::problem::Code;

use crate::support::{
    AUDIENCE, ISSUER, NOW_S, Pair, b64, claims, claims_with, claims_without, trust, trust_external,
    verify,
};

#[test]
fn j11_times_are_whole_numbers_in_range_or_the_token_is_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    let verifier = trust(pair.key().into());
    let bad = [
        r#""1800000600""#,
        "1800000600.5",
        "1800000600.0",
        "1.8e9",
        "-1",
        "9223372036854775808",
        "9223372036854775807",
        "18446744073709551616",
        "null",
        "true",
        "[1800000600]",
        "{}",
        "253402300800",
        r#""""#,
    ];
    for name in ["exp", "nbf", "iat"] {
        let rest = claims_without(name).to_string();
        for value in bad {
            let payload = format!(r#"{{"{name}":{value},{}"#, &rest[1..]);
            let token = pair.sign_raw(pair.header().to_string().as_bytes(), payload.as_bytes());
            assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::Times), "{name} {value}");
        }
        for value in ["1e400", "NaN", "Infinity", "01800000600", "+1"] {
            let payload = format!(r#"{{"{name}":{value},{}"#, &rest[1..]);
            let token = pair.sign_raw(pair.header().to_string().as_bytes(), payload.as_bytes());
            let refused = verifier.verify(&token, NOW_S);
            assert_eq!(refused, Err(Refusal::Malformed), "{name} {value}");
        }
    }
    let check = |claims: Value| verifier.verify(&pair.sign(&claims), NOW_S).map(|_| ());
    assert_eq!(check(claims_without("exp")), Err(Refusal::Times), "required");
    assert_eq!(check(claims_without("iat")), Ok(()));
    for (name, seconds, expect) in [
        ("exp", NOW_S - 5, Err(Refusal::Expired)),
        ("exp", NOW_S - 4, Ok(())),
        ("exp", 0, Err(Refusal::Expired)),
        ("nbf", NOW_S + 5, Ok(())),
        ("nbf", NOW_S + 6, Err(Refusal::NotYet)),
        ("iat", NOW_S + 5, Ok(())),
        ("iat", NOW_S + 6, Err(Refusal::NotYet)),
        ("nbf", 0, Ok(())),
    ] {
        assert_eq!(check(claims_with(name, json!(seconds))), expect, "{name} {seconds}");
    }
}

#[test]
fn j12_audience_issuer_and_subject_fit_or_the_token_is_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    let check = |claims: Value| verify(&pair, &pair.sign(&claims)).map(|_| ());
    for aud in [json!([AUDIENCE]), json!(["other", AUDIENCE])] {
        assert_eq!(check(claims_with("aud", aud)), Ok(()));
    }
    for aud in [
        json!("other"),
        json!("tasktoni"),
        json!("tasktonic2"),
        json!("Tasktonic"),
        json!(""),
        json!([]),
        json!(["other"]),
        json!([AUDIENCE, 1]),
        json!(1),
        json!(null),
        json!({}),
        json!("tasktonic other"),
    ] {
        assert_eq!(check(claims_with("aud", aud.clone())), Err(Refusal::Audience), "{aud}");
    }
    assert_eq!(check(claims_without("aud")), Err(Refusal::Audience));
    for iss in [
        json!([ISSUER]),
        json!(format!("{ISSUER}/")),
        json!("HTTPS://ISSUER.EXAMPLE"),
        json!("https://\u{456}ssuer.example"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        assert_eq!(check(claims_with("iss", iss.clone())), Err(Refusal::UnknownKey), "{iss}");
    }
    assert_eq!(check(claims_without("iss")), Err(Refusal::UnknownKey));
    for sub in [
        json!(""),
        json!(1),
        json!(null),
        json!(["ada"]),
        json!("a".repeat(257)),
        json!("a\0"),
        json!("a\r\nX-TT-User: root"),
        json!("a\u{7f}"),
        json!("a\u{85}"),
    ] {
        assert_eq!(check(claims_with("sub", sub.clone())), Err(Refusal::Subject), "{sub}");
    }
    for sub in ["a:b", "{a}", "*", "a|b", "ada lovelace", "\u{e4}da", "~AAAAAAAAAAAAAAAAAAAAAA"] {
        let said = verify(&pair, &pair.sign(&claims_with("sub", json!(sub)))).unwrap();
        let user = said.user.as_str();
        assert!(user.starts_with('~') && user.len() == 23 && user != sub, "{sub} gave {user}");
        assert!(user[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }
}

#[test]
fn j13_only_access_tokens_are_access_tokens() {
    let pair = Pair::new(Algorithm::EdDsa);
    let typed = |typ: Value, claims: Value| {
        let mut header = pair.header();
        header["typ"] = typ;
        pair.sign_raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    };
    for typ in ["JWT", "rt+jwt", "id+jwt", "logout+jwt", "dpop+jwt", ""] {
        let token = typed(json!(typ), claims());
        assert_eq!(verify(&pair, &token), Err(Refusal::Type), "{typ}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert!(verify(&pair, &typed(json!(typ), claims())).is_ok(), "{typ}");
    }
    let external = trust_external(pair.key().into());
    assert!(external.verify(&typed(json!("JWT"), claims()), NOW_S).is_ok());
    let refused = external.verify(&typed(json!("rt+jwt"), claims()), NOW_S);
    assert_eq!(refused, Err(Refusal::Type));
    for claim in ["nonce", "at_hash"] {
        let id_token = typed(json!("JWT"), claims_with(claim, json!("x")));
        assert_eq!(external.verify(&id_token, NOW_S), Err(Refusal::Type), "{claim}");
    }
}

#[test]
fn j14_huge_and_deep_tokens_cost_nothing() {
    let pair = Pair::new(Algorithm::EdDsa);
    for size in [8 * 1024 + 1, 16 * 1024, 1 << 20] {
        assert_eq!(verify(&pair, &"a".repeat(size)), Err(Refusal::TooLarge), "{size}");
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(2_900), "]".repeat(2_900));
    let header = pair.header().to_string();
    let token = pair.sign_raw(header.as_bytes(), deep.as_bytes());
    assert!(token.len() <= 8 * 1024);
    assert_eq!(verify(&pair, &token), Err(Refusal::Malformed));
    let token = pair.sign_raw(deep.as_bytes(), b"{}");
    assert_eq!(verify(&pair, &token), Err(Refusal::Malformed));
    let padding = "p".repeat(5_700);
    let token = pair.sign(&claims_with("padding", json!(padding)));
    assert!(token.len() > 7_900 && verify(&pair, &token).is_ok(), "{}", token.len());
}

#[test]
fn j16_an_expired_forgery_looks_like_any_forgery() {
    let (pair, thief) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    for claims in [
        claims_with("exp", json!(1)),
        claims_with("aud", json!("x")),
        claims_with("nbf", json!(NOW_S + 9_999)),
        claims_without("sub"),
        claims(),
    ] {
        let refused = verify(&pair, &thief.sign(&claims)).unwrap_err();
        assert_eq!((refused, refused.code()), (Refusal::Signature, Code::TokenInvalid));
    }
    let expired = verify(&pair, &pair.sign(&claims_with("exp", json!(1)))).unwrap_err();
    assert_eq!(expired.code(), Code::TokenExpired);
}

#[test]
fn j17_new_keys_count_at_once_and_old_ones_no_longer() {
    let (old, new) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let verifier = trust(old.key().into());
    let (of_old, of_new) = (old.sign(&claims()), new.sign(&claims()));
    assert!(verifier.verify(&of_old, NOW_S).is_ok());
    assert!(verifier.verify(&of_new, NOW_S).is_err());
    assert!(verifier.replace_keys("https://other.example", new.key().into()).is_err());
    verifier.replace_keys(ISSUER, new.key().into()).unwrap();
    assert_eq!(verifier.verify(&of_old, NOW_S), Err(Refusal::Signature), "not from memory");
    assert!(verifier.verify(&of_new, NOW_S).is_ok());
    verifier.replace_keys(ISSUER, KeySet::default()).unwrap();
    assert_eq!(verifier.verify(&of_new, NOW_S), Err(Refusal::UnknownKey));
}

#[test]
fn j18_a_remembered_token_is_never_served_outside_its_times() {
    let pair = Pair::new(Algorithm::Es256);
    let verifier = trust(pair.key().into());
    let token = pair.sign(&claims_with("nbf", json!(NOW_S)));
    for _ in 0..2 {
        assert_eq!(verifier.verify(&token, NOW_S - 6), Err(Refusal::NotYet));
        assert!(verifier.verify(&token, NOW_S).is_ok());
        assert!(verifier.verify(&token, NOW_S + 604).is_ok());
        assert_eq!(verifier.verify(&token, NOW_S + 605), Err(Refusal::Expired));
        assert_eq!(verifier.verify(&token, NOW_S - 6), Err(Refusal::NotYet));
    }
    let mut forged = token.clone();
    forged.pop();
    assert!(verifier.verify(&forged, NOW_S).is_err(), "the whole token is the key");
}

#[test]
fn j19_no_text_of_ours_holds_a_token_or_a_key() {
    let pair = Pair::new(Algorithm::Hs256);
    let secret = pair.jwk["k"].as_str().unwrap().to_owned();
    let token = pair.sign(&claims_with("exp", json!(1)));
    let verifier = trust(pair.key().into());
    let refused = verifier.verify(&token, NOW_S).unwrap_err();
    let signing = SigningKey::generate();
    let private = b64(&signing.to_pkcs8()[16..48]);
    let text = format!("{refused} {refused:?} {verifier:?} {:?} {signing:?}", pair.key());
    for part in token.split('.').chain([secret.as_str(), private.as_str()]) {
        assert!(!text.contains(part), "{text}");
    }
}

#[test]
fn our_own_tokens_say_what_they_were_made_to_say() {
    let issuer = Issuer::new(ISSUER, SigningKey::generate());
    let verifier = trust(issuer.key_set());
    let new = NewToken {
        subject: "ada@example.com".to_owned(),
        role: Role::Operator,
        name: Some("Ada".to_owned()),
        scopes: vec!["tasks:submit".to_owned(), "tasks:read:own".to_owned()],
        ttl_s: 600,
        audience: AUDIENCE.to_owned(),
    };
    let token = issuer.mint(&new, NOW_S);
    let said = verifier.verify(&token, NOW_S).unwrap();
    assert_eq!(said.subject, new.subject);
    assert_eq!((said.role, said.name.as_deref()), (Role::Operator, Some("Ada")));
    assert_eq!(said.scopes, new.scopes);
    assert_eq!((said.issued_s, said.expires_s), (Some(NOW_S), NOW_S + 600));
    assert_eq!(said.token_id.as_ref().map(String::len), Some(22));
    assert_ne!(issuer.mint(&new, NOW_S), token, "each has its own id");
    assert!(verify_compact(&token, &issuer.key_set(), None).is_ok());

    let pkcs8 = issuer.key().to_pkcs8();
    let renewed = Issuer::new(ISSUER, SigningKey::generate())
        .with_retired(SigningKey::from_pkcs8(&pkcs8).unwrap());
    assert_eq!(renewed.key_set().keys().len(), 2);
    assert!(trust(renewed.key_set()).verify(&token, NOW_S).is_ok(), "across a change of key");
    let document: Value = serde_json::from_str(&renewed.jwks_json()).unwrap();
    assert!(document["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()));
    assert_eq!(issuer.key().derive("a"), SigningKey::from_pkcs8(&pkcs8).unwrap().derive("a"));
    assert_ne!(issuer.key().derive("a"), issuer.key().derive("b"));
}

#[test]
fn roles_come_from_our_word_or_from_the_configured_claim() {
    let pair = Pair::new(Algorithm::EdDsa);
    for role in [json!("root"), json!(1), json!(""), json!(["admin"])] {
        let token = pair.sign(&claims_with("role", role.clone()));
        assert_eq!(verify(&pair, &token), Err(Refusal::Claims), "{role}");
    }
    let token = pair.sign(&claims_without("role"));
    assert_eq!(verify(&pair, &token), Err(Refusal::Claims));
    let mut external = TrustedIssuer::external(ISSUER, AUDIENCE, pair.key().into());
    external.role_claim = Some("groups".to_owned());
    external.roles = vec![("ops".to_owned(), Role::Operator), ("root".to_owned(), Role::Admin)];
    let verifier = Verifier::new(vec![external], 0).unwrap();
    for (groups, role) in [
        (json!(["x", "root", "ops"]), Role::Operator),
        (json!("root"), Role::Admin),
        (json!(["x"]), Role::User),
        (json!({"root": true}), Role::User),
        (json!(7), Role::User),
    ] {
        let mut claims = claims_with("groups", groups.clone());
        claims["role"] = "admin".into();
        let said = verifier.verify(&pair.sign(&claims), NOW_S).unwrap();
        assert_eq!(said.role, role, "{groups}");
    }
}

#[test]
fn scopes_that_cannot_be_read_never_mean_all() {
    let pair = Pair::new(Algorithm::EdDsa);
    for scope in
        [json!(""), json!(" "), json!("a  b"), json!(1), json!([]), json!([1]), json!(null)]
    {
        let token = pair.sign(&claims_with("scope", scope.clone()));
        assert_eq!(verify(&pair, &token), Err(Refusal::Claims), "{scope}");
    }
    let said = verify(&pair, &pair.sign(&claims_with("scp", json!(["a", "b"])))).unwrap();
    assert_eq!(said.scopes, ["a", "b"]);
    assert!(verify(&pair, &pair.sign(&claims())).unwrap().scopes.is_empty());
}
