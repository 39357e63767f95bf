//! Laws of the verifier: nothing panics, nothing that was changed is believed, and two callers are
//! never one user.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::support::{AUDIENCE, ISSUER, NOW_S, Pair, claims, claims_with};
use proptest::prelude::*;
use serde_json::json;
use tasktonic_auth::jws::verify_compact;
use tasktonic_auth::{Algorithm, KeySet, TrustedIssuer, Verifier};

static PAIR: LazyLock<Pair> = LazyLock::new(|| Pair::new(Algorithm::EdDsa));
static SECRET: LazyLock<Pair> = LazyLock::new(|| Pair::new(Algorithm::Hs256));

fn verifier(pair: &Pair) -> Verifier {
    let issuer = TrustedIssuer::built_in(ISSUER, AUDIENCE, pair.key().into());
    Verifier::new(vec![issuer], 0).unwrap()
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(text in ".{0,300}", now in any::<i64>()) {
        prop_assert!(verifier(&PAIR).verify(&text, now).is_err());
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in 0_usize..300,
    ) {
        prop_assert!(verify_compact(&bytes, &PAIR.key(), None).is_err());
        prop_assert!(KeySet::from_local_file(&bytes, None).is_err());
        let mut jwks = json!({"keys": [PAIR.jwk, SECRET.jwk]}).to_string().into_bytes();
        let at = at % jwks.len();
        jwks.splice(at.., bytes);
        let _ = KeySet::from_local_file(&jwks, None);
    }

    #[test]
    fn signed_nonsense_is_refused_and_never_panics(
        header in prop::collection::vec(any::<u8>(), 0..100),
        payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let verifier = verifier(&SECRET);
        prop_assert!(verifier.verify(&SECRET.sign_raw(&header, &payload), NOW_S).is_err());
        let good = SECRET.header().to_string();
        let token = SECRET.sign_raw(good.as_bytes(), &payload);
        prop_assert!(verifier.verify(&token, NOW_S).is_err());
        // As a signature it is good, whatever it signs.
        prop_assert_eq!(verify_compact(&token, &SECRET.key(), None), Ok(payload));
    }

    #[test]
    fn distinct_callers_are_distinct_users(
        subjects in prop::collection::vec("[a-z~:|/. -]{1,40}|.{1,40}", 2..20),
    ) {
        let issuers = || vec![
            TrustedIssuer::built_in("us", AUDIENCE, SECRET.key().into()),
            TrustedIssuer::external("https://a.example", AUDIENCE, SECRET.key().into()),
            TrustedIssuer::external("https://b.example", AUDIENCE, SECRET.key().into()),
        ];
        let names = ["us", "https://a.example", "https://b.example"];
        let verifier = Verifier::new(issuers(), 0).unwrap();
        let mut seen = HashMap::new();
        let mut all: Vec<String> = subjects;
        for name in names {
            // What could be mistaken for the spelling of another pair.
            let more: Vec<_> = all.iter().take(3).map(|s| format!("{name} {s}")).collect();
            all.extend(more);
        }
        for issuer in names {
            for subject in &all {
                let mut claims = claims_with("sub", json!(subject));
                claims["iss"] = issuer.into();
                let Ok(said) = verifier.verify(&SECRET.sign(&claims), NOW_S) else { continue };
                let pair = (issuer, subject.clone());
                let first = seen.entry(said.user.clone()).or_insert_with(|| pair.clone());
                prop_assert_eq!(&*first, &pair);
            }
        }
    }
}

#[test]
fn every_change_of_one_character_is_refused() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es384, Algorithm::Ps256] {
        let pair = Pair::new(algorithm);
        let verifier = verifier(&pair);
        let token = pair.sign(&claims());
        assert!(verifier.verify(&token, NOW_S).is_ok());
        for at in 0..token.len() {
            for other in ["A", "b", "_", ".", "=", " ", ""] {
                if &token[at..=at] == other {
                    continue;
                }
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                let verdict = verifier.verify(&changed, NOW_S);
                assert!(verdict.is_err(), "{algorithm:?}: {other:?} at {at} was believed");
            }
        }
    }
}

#[test]
fn a_sole_external_issuer_keeps_its_subjects_and_a_second_one_sets_them_apart() {
    let external = |name| TrustedIssuer::external(name, AUDIENCE, SECRET.key().into());
    let user = |issuers| {
        let verifier = Verifier::new(issuers, 0).unwrap();
        verifier.verify(&SECRET.sign(&claims()), NOW_S).unwrap().user.clone()
    };
    assert_eq!(user(vec![external(ISSUER)]).as_str(), "ada");
    let apart = user(vec![external(ISSUER), external("https://b.example")]);
    assert!(apart.as_str().starts_with('~'), "{apart}");
    let built_in = || TrustedIssuer::built_in("us", AUDIENCE, SECRET.key().into());
    assert_eq!(user(vec![external(ISSUER), built_in()]), apart, "and stays there");
}

#[test]
fn issuers_that_could_be_mistaken_for_each_other_are_not_accepted() {
    let external = |name: &str| TrustedIssuer::external(name, AUDIENCE, KeySet::default());
    let built_in = |name| TrustedIssuer::built_in(name, AUDIENCE, KeySet::default());
    assert!(Verifier::new(vec![external("a"), external("a")], 0).is_err());
    assert!(Verifier::new(vec![built_in("a"), built_in("b")], 0).is_err());
    for bad in ["", "a\nb", "a b", &"a".repeat(257)] {
        assert!(Verifier::new(vec![external(bad)], 0).is_err(), "{bad:?}");
    }
    assert!(Verifier::new(Vec::new(), 301).is_err());
    assert!(Verifier::new((0..51).map(|n| external(&n.to_string())).collect(), 0).is_err());
}
