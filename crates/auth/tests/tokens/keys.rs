//! Weak and misused keys are refused when they are loaded, not when they are used.

use serde_json::{Value, json};
use tasktonic_auth::key::Error as KeyError;
use tasktonic_auth::{Algorithm, Key, KeySet};

use crate::support::{Pair, b64};

#[test]
fn j15_weak_and_misused_keys_are_refused_when_they_are_loaded() {
    let load = |jwk: Value| Key::from_local_file(jwk.to_string().as_bytes(), None).err();
    for size in [0, 1, 31] {
        let jwk = json!({"kty": "oct", "alg": "HS256", "k": b64(vec![7; size])});
        assert_eq!(load(jwk), Some(KeyError::Weak), "{size} bytes");
    }
    assert_eq!(load(json!({"kty": "oct", "alg": "HS256", "k": b64([7; 32])})), None);
    let rsa = Pair::new(Algorithm::Rs256).jwk;
    let with = |name: &str, value: Value| {
        let mut jwk = rsa.clone();
        jwk[name] = value;
        jwk
    };
    let mut small = vec![0xff; 128];
    assert_eq!(load(with("n", json!(b64(&small)))), Some(KeyError::Weak), "1024 bits");
    small.resize(255, 0xff);
    assert_eq!(load(with("n", json!(b64(&small)))), Some(KeyError::Weak), "2040 bits");
    for e in [vec![1], vec![0, 1], vec![], vec![2], vec![1, 0, 0]] {
        assert_eq!(load(with("e", json!(b64(&e)))), Some(KeyError::Weak), "{e:?}");
    }
    for (name, value, error) in [
        ("use", json!("enc"), KeyError::Purpose),
        ("use", json!(""), KeyError::Purpose),
        ("use", json!(1), KeyError::Member),
        ("key_ops", json!(["sign"]), KeyError::Purpose),
        ("key_ops", json!(["encrypt", "wrapKey"]), KeyError::Purpose),
        ("key_ops", json!([]), KeyError::Purpose),
        ("key_ops", json!("verify"), KeyError::Member),
        ("alg", json!("none"), KeyError::Algorithm),
        ("alg", json!("RSA-OAEP"), KeyError::Algorithm),
        ("alg", json!("HS256"), KeyError::Contradiction),
        ("alg", json!("ES256"), KeyError::Contradiction),
        ("alg", json!(null), KeyError::Member),
        ("n", json!("!"), KeyError::Member),
        ("kid", json!(7), KeyError::Member),
    ] {
        assert_eq!(load(with(name, value.clone())), Some(error), "{name} {value}");
    }
    assert_eq!(load(with("key_ops", json!(["sign", "verify"]))), None);
    let edwards = |x: &[u8]| load(json!({"kty": "OKP", "crv": "Ed25519", "x": b64(x)}));
    assert_eq!(edwards(&[0; 32]), Some(KeyError::Weak), "a point of small order");
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(edwards(&identity), Some(KeyError::Weak), "the identity");
    assert_eq!(edwards(&[7; 31]), Some(KeyError::Member));
    let curve = json!({"kty": "EC", "crv": "P-256", "x": b64([7; 32]), "y": b64([7; 32])});
    assert_eq!(load(curve), Some(KeyError::Member), "a point off the curve");
}

#[test]
fn j15_unusable_keys_are_left_out_of_a_set_and_named() {
    let good = Pair::new(Algorithm::EdDsa).jwk;
    let (weak, secret) = (
        json!({"kty": "RSA", "alg": "RS256", "kid": "weak", "n": b64([0xff; 128]), "e": "AQAB"}),
        json!({"kty": "oct", "alg": "HS256", "kid": "secret", "k": b64([7; 32])}),
    );
    let set = json!({"keys": [weak, good, secret, 7]}).to_string();
    let set = KeySet::from_jwks(set.as_bytes(), None).unwrap();
    assert_eq!(set.keys().len(), 1);
    let left: Vec<_> = set.left_out().iter().map(|out| (out.index, out.error)).collect();
    let expect = [(0, KeyError::Weak), (2, KeyError::Symmetric), (3, KeyError::Document)];
    assert_eq!(left, expect);
    for (document, error) in [
        (json!({"keys": []}), KeyError::Empty),
        (json!({"keys": [weak]}), KeyError::Weak),
        (json!({"keys": [weak, secret]}), KeyError::Empty),
        (json!({"keys": {}}), KeyError::Document),
        (json!({}), KeyError::Document),
        (json!([]), KeyError::Document),
        (json!({"keys": vec![good; 101]}), KeyError::TooMany),
    ] {
        let read = KeySet::from_jwks(document.to_string().as_bytes(), None);
        assert_eq!(read.unwrap_err(), error);
    }
}
