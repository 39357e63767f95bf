//! Another implementation of JWT as the oracle: it believes what we believe, and where the two
//! differ we are the stricter one.

use std::sync::LazyLock;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation, decode};
use proptest::prelude::*;
use serde_json::Value;
use tasktonic_auth::{Algorithm, Verifier};

use crate::support::{AUDIENCE, ISSUER, Pair, claims, trust};

static PAIRS: LazyLock<Vec<(Pair, Verifier)>> = LazyLock::new(|| {
    let with_verifier = |algorithm: &Algorithm| {
        let pair = Pair::new(*algorithm);
        let verifier = trust(pair.key().into());
        (pair, verifier)
    };
    Algorithm::ALL.iter().map(with_verifier).collect()
});

/// Its clock cannot be set, so tokens that both may believe are good now.
fn now_s() -> i64 {
    jsonwebtoken::get_current_timestamp().try_into().unwrap()
}

fn the_other_believes(pair: &Pair, token: &str) -> bool {
    let jwk: Jwk = serde_json::from_value(pair.jwk.clone()).unwrap();
    let mut validation = Validation::new(pair.algorithm.name().parse().unwrap());
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = 5;
    decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).is_ok()
}

fn good_now() -> Value {
    let mut claims = claims();
    claims["iat"] = (now_s() - 10).into();
    claims["exp"] = (now_s() + 600).into();
    claims
}

#[test]
fn both_believe_an_honest_token_of_every_algorithm() {
    for (pair, verifier) in PAIRS.iter() {
        let token = pair.sign(&good_now());
        assert!(the_other_believes(pair, &token), "{pair:?}");
        assert!(verifier.verify(&token, now_s()).is_ok(), "{pair:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_we_believe_the_other_believes(
        which in 0_usize..12,
        change in 0_u8..5,
        at in 0_usize..2_000,
        with in "[A-Za-z0-9_.=-]{0,2}",
        claim in prop::sample::select(vec!["iss", "aud", "sub", "exp", "nbf", "iat", "x"]),
        value in prop::sample::select(vec![
            "null", "0", "1", "-1", "9999999999", "1.5", "\"\"", "\"tasktonic\"", "[\"tasktonic\"]",
            "[]", "{}", "true", "\"https://issuer.example\"", "\"9999999999\"",
        ]),
    ) {
        let (pair, verifier) = &PAIRS[which];
        let mut claims = good_now();
        if change < 3 {
            claims[claim] = serde_json::from_str(value).unwrap();
        }
        let mut token = pair.sign(&claims);
        if change >= 2 {
            let at = at % token.len();
            token.replace_range(at..=at, &with);
        }
        let ours = verifier.verify(&token, now_s());
        if ours.is_ok() {
            prop_assert!(the_other_believes(pair, &token), "{:?}: {} = {}", pair, claim, value);
        }
    }
}
