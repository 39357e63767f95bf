//! The attacks on the form and the signature of tokens that are known to have worked somewhere,
//! row by row, with fresh keys.

use aws_lc_rs::hmac;
use serde_json::json;
use tasktonic_auth::key::Error as KeyError;
use tasktonic_auth::{Algorithm, Key, KeySet, Refusal, Role};

use crate::support::{NOW_S, Pair, b64, claims, hmac_sign, trust, verify, with_header};

#[test]
fn an_honest_token_of_every_algorithm_is_accepted() {
    for algorithm in Algorithm::ALL {
        let pair = Pair::new(*algorithm);
        let said = verify(&pair, &pair.sign(&claims())).unwrap();
        assert_eq!((said.user.as_str(), said.role), ("ada", Role::User), "{algorithm:?}");
        assert_eq!(said.expires_s, NOW_S + 600);
    }
    let pair = Pair::new(Algorithm::EdDsa);
    assert!(verify(&pair, &with_header(&pair, "alg", json!("Ed25519"))).is_ok());
}

#[test]
fn j1_unsecured_tokens_are_refused_however_they_are_spelled() {
    let pair = Pair::new(Algorithm::EdDsa);
    let good = pair.sign(&claims());
    let signature = good.rsplit('.').next().unwrap();
    for alg in ["none", "None", "nOnE", "NONE", "", "eddsa", "EDDSA", " EdDSA", "EdDSA\0"] {
        let header = json!({"alg": alg, "kid": "k1", "typ": "at+jwt"}).to_string();
        let signed = format!("{}.{}", b64(header), b64(claims().to_string()));
        for token in [format!("{signed}."), format!("{signed}.{signature}")] {
            assert_eq!(verify(&pair, &token), Err(Refusal::Algorithm), "{alg:?}");
        }
    }
    for alg in [json!(null), json!(1), json!(["EdDSA"]), json!({"a": "EdDSA"}), json!(true)] {
        let token = with_header(&pair, "alg", alg.clone());
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed), "{alg}");
    }
    let missing = pair.sign_raw(br#"{"typ":"at+jwt"}"#, claims().to_string().as_bytes());
    assert_eq!(verify(&pair, &missing), Err(Refusal::Malformed));
}

#[test]
fn j2_a_public_key_is_never_an_hmac_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let pair = Pair::new(algorithm);
        let jwk = pair.jwk.to_string();
        let raw = pair.jwk.get("n").or(pair.jwk.get("x")).unwrap().as_str().unwrap();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{raw}\n-----END PUBLIC KEY-----");
        let secrets = [
            jwk.clone().into_bytes(),
            raw.as_bytes().to_vec(),
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, raw).unwrap(),
            pem.clone().into_bytes(),
            format!("{pem}\n").into_bytes(),
            format!("ssh-rsa {raw} me@host").into_bytes(),
        ];
        for secret in secrets {
            let header = json!({"alg": "HS256", "kid": "k1", "typ": "at+jwt"}).to_string();
            let signed = format!("{}.{}", b64(header), b64(claims().to_string()));
            let tag = hmac_sign(hmac::HMAC_SHA256, &secret, signed.as_bytes());
            let token = format!("{signed}.{}", b64(tag));
            assert_eq!(verify(&pair, &token), Err(Refusal::Algorithm), "{algorithm:?}");
        }
    }
    let secret = Pair::new(Algorithm::Hs256).jwk.to_string();
    assert_eq!(Key::from_jwk(secret.as_bytes(), None).unwrap_err(), KeyError::Symmetric);
    let set = format!(r#"{{"keys":[{secret}]}}"#);
    assert_eq!(KeySet::from_jwks(set.as_bytes(), None).unwrap_err(), KeyError::Symmetric);
}

#[test]
fn j3_exchanged_algorithms_are_refused() {
    let pairs: Vec<_> = Algorithm::ALL.iter().map(|algorithm| Pair::new(*algorithm)).collect();
    for pair in &pairs {
        for other in Algorithm::ALL.iter().filter(|other| **other != pair.algorithm) {
            let token = with_header(pair, "alg", json!(other.name()));
            assert_eq!(verify(pair, &token), Err(Refusal::Algorithm), "{pair:?} as {other:?}");
        }
    }
    for name in ["ES512", "ES256K", "Ed448", "RSA-OAEP", "HS1", "A128KW"] {
        let token = with_header(&pairs[0], "alg", json!(name));
        assert_eq!(verify(&pairs[0], &token), Err(Refusal::Algorithm), "{name}");
    }
    let (p256, p384) = (Pair::new(Algorithm::Es256), Pair::new(Algorithm::Es384));
    let mut wrong = p384.jwk.clone();
    wrong["alg"] = "ES256".into();
    let wrong = Key::from_jwk(wrong.to_string().as_bytes(), None);
    assert_eq!(wrong.unwrap_err(), KeyError::Contradiction);
    for (member, value) in [("crv", "secp256k1"), ("crv", "P-521"), ("kty", "DSA")] {
        let mut odd = p256.jwk.clone();
        odd[member] = value.into();
        let read = Key::from_jwk(odd.to_string().as_bytes(), None);
        assert_eq!(read.unwrap_err(), KeyError::Unsupported, "{value}");
    }
    let ed448 = json!({"kty": "OKP", "crv": "Ed448", "x": b64([7; 57]), "alg": "EdDSA"});
    let read = Key::from_jwk(ed448.to_string().as_bytes(), None);
    assert_eq!(read.unwrap_err(), KeyError::Unsupported);
}

#[test]
fn j4_keys_that_come_with_the_token_are_refused() {
    let (trusted, thief) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    for (name, value) in [
        ("jwk", thief.jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
    ] {
        for signer in [&trusted, &thief] {
            let token = with_header(signer, name, value.clone());
            assert_eq!(verify(&trusted, &token), Err(Refusal::Malformed), "{name}");
        }
    }
    assert_eq!(verify(&trusted, &thief.sign(&claims())), Err(Refusal::Signature));
}

#[test]
fn j5_a_kid_only_names_a_key() {
    let (one, two) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let mut second = two.jwk.clone();
    second["kid"] = "k2".into();
    let set = json!({"keys": [one.jwk, second]}).to_string();
    let verifier = trust(KeySet::from_jwks(set.as_bytes(), None).unwrap());
    for kid in ["", "k3", "K1", "k1 ", "k1\0", "../../dev/null", "' or 1=1", "|id"] {
        let token = with_header(&one, "kid", json!(kid));
        assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::UnknownKey), "{kid:?}");
    }
    for kid in [json!(1), json!(["k1"]), json!(null), json!("k".repeat(300))] {
        let token = with_header(&one, "kid", kid.clone());
        assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::Malformed), "{kid}");
    }
    let token = with_header(&one, "kid", json!("k".repeat(1 << 20)));
    assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::TooLarge));
    let token = with_header(&one, "kid", json!("k2"));
    assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::Signature), "another's id");
    let none = br#"{"alg":"EdDSA","typ":"at+jwt"}"#;
    let token = one.sign_raw(none, claims().to_string().as_bytes());
    assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::UnknownKey), "no id, two keys");
    assert!(verify(&one, &token).is_ok(), "no id, one key");
    let twice = br#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1","kid":"k1"}"#;
    let token = one.sign_raw(twice, claims().to_string().as_bytes());
    assert_eq!(verifier.verify(&token, NOW_S), Err(Refusal::Malformed));
    let same = json!({"keys": [one.jwk, two.jwk]}).to_string();
    assert_eq!(KeySet::from_jwks(same.as_bytes(), None).unwrap_err(), KeyError::IdTwice);
}

#[test]
fn j6_critical_extensions_and_unencoded_payloads_are_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    for crit in
        [json!(["exp"]), json!(["b64"]), json!([]), json!(["alg"]), json!("b64"), json!(null)]
    {
        let token = with_header(&pair, "crit", crit.clone());
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed), "{crit}");
    }
    for b64 in [json!(false), json!(true), json!(0)] {
        let token = with_header(&pair, "b64", b64);
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed));
    }
}

#[test]
fn j7_members_that_come_twice_are_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    let (header, payload) = (pair.header().to_string(), claims().to_string());
    let twice = |text: &str, member: &str| format!("{{{member},{}", &text[1..]);
    for member in [r#""alg":"EdDSA""#, r#""al\u0067":"none""#, r#""typ":"JWT""#] {
        let token = pair.sign_raw(twice(&header, member).as_bytes(), payload.as_bytes());
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed), "{member}");
    }
    for member in [r#""sub":"eve""#, r#""exp":9999999999"#, r#""\u0065xp":1"#, r#""iss":"x""#] {
        let token = pair.sign_raw(header.as_bytes(), twice(&payload, member).as_bytes());
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed), "{member}");
    }
    let jwk = twice(&pair.jwk.to_string(), r#""kty":"oct""#);
    assert_eq!(Key::from_jwk(jwk.as_bytes(), None).unwrap_err(), KeyError::Document);
}

#[test]
fn j8_degenerate_signatures_are_refused() {
    const N_P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let n: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&N_P256[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let mut n_less_one = n.clone();
    n_less_one[31] -= 1;
    let zero = vec![0; 32];
    let mut one = zero.clone();
    one[31] = 1;
    let pair = Pair::new(Algorithm::Es256);
    let good = pair.sign(&claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let signature = base64::Engine::decode(&engine, signature).unwrap();
    let (r, s) = (signature[..32].to_vec(), signature[32..].to_vec());
    let mut bad = Vec::new();
    for value in [&zero, &one, &n_less_one, &n] {
        bad.push([value.clone(), s.clone()].concat());
        bad.push([r.clone(), value.clone()].concat());
        for other in [&zero, &one, &n_less_one, &n] {
            bad.push([value.clone(), other.clone()].concat());
        }
    }
    bad.push(Vec::new());
    bad.push(signature[..63].to_vec());
    bad.push([&signature[..], &[0]].concat());
    bad.push([&[0], &signature[..]].concat());
    let der = |number: &[u8]| [&[2, 33, 0][..], number].concat();
    bad.push([&[0x30, 70][..], &der(&r), &der(&s)].concat());
    for signature in bad {
        let token = format!("{signed}.{}", b64(&signature));
        assert_eq!(verify(&pair, &token), Err(Refusal::Signature), "{signature:02x?}");
    }
    assert!(verify(&pair, &good).is_ok());
    for algorithm in Algorithm::ALL {
        let pair = Pair::new(*algorithm);
        let good = pair.sign(&claims());
        let signed = good.rsplit_once('.').unwrap().0;
        for size in [0, 1, 16, 32, 48, 64, 96, 256] {
            let token = format!("{signed}.{}", b64(vec![0; size]));
            assert_eq!(verify(&pair, &token), Err(Refusal::Signature), "{algorithm:?} {size}");
        }
    }
}

#[test]
fn j9_a_token_has_one_spelling() {
    let pair = Pair::new(Algorithm::Es256);
    let good = pair.sign(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let last = |part: &str| {
        // The last character of 86 carries four unused bits.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(part.chars().last().unwrap()).unwrap();
        format!("{}{}", &part[..part.len() - 1], alphabet.as_bytes()[at ^ 1] as char)
    };
    for bad in [
        format!("{good}="),
        format!("{good}=="),
        format!("{header}=.{payload}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}{signature}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{header}.{payload}. {signature}"),
        format!("{header}\n.{payload}.{signature}"),
        format!("{header}.{payload}.{}+", &signature[..85]),
        format!("{header}.{payload}.{}/", &signature[..85]),
        format!("{header}.{payload}.{}?", &signature[..85]),
        format!("{header}.{payload}.{}é", &signature[..84]),
        format!("{header}.{payload}.{}", last(signature)),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
    ] {
        assert_eq!(verify(&pair, &bad), Err(Refusal::Malformed), "{}", bad.len());
    }
}

#[test]
fn j10_other_kinds_of_token_are_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    let good = pair.sign(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    for token in [json.to_string(), format!("{good}.AAAA.AAAA"), "a.b.c.d.e".to_owned()] {
        assert_eq!(verify(&pair, &token), Err(Refusal::Malformed));
    }
    for (name, value) in [("enc", json!("A128GCM")), ("zip", json!("DEF"))] {
        assert_eq!(verify(&pair, &with_header(&pair, name, value)), Err(Refusal::Malformed));
    }
    assert_eq!(verify(&pair, &with_header(&pair, "cty", json!("JWT"))), Err(Refusal::Type));
    let nested = pair.sign_raw(pair.header().to_string().as_bytes(), good.as_bytes());
    assert_eq!(verify(&pair, &nested), Err(Refusal::Malformed));
}
