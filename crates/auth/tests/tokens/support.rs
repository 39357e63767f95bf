//! Fresh keys of every algorithm, and tokens signed with them, honest and not. Knows the
//! verifier's input format only, none of its code.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use tasktonic_auth::{Algorithm, Claims, Key, KeySet, Refusal, TrustedIssuer, Verifier};

pub(crate) const NOW_S: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "tasktonic";

pub(crate) enum Signer {
    Secret(Vec<u8>, hmac::Algorithm),
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Curve(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

/// A key pair with its JWK.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Value,
    signer: Signer,
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    B64.encode(bytes)
}

impl Pair {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        use Algorithm as A;
        let (mut jwk, signer) = match algorithm {
            A::Hs256 | A::Hs384 | A::Hs512 => {
                let mut secret = vec![0; 64];
                rand::fill(&mut secret).unwrap();
                let digest = match algorithm {
                    A::Hs256 => hmac::HMAC_SHA256,
                    A::Hs384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                (json!({"kty": "oct", "k": b64(&secret)}), Signer::Secret(secret, digest))
            }
            A::Es256 | A::Es384 => {
                let (curve, signing) = match algorithm {
                    A::Es256 => ("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
                    _ => ("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
                };
                let pair = EcdsaKeyPair::generate(signing).unwrap();
                let point = pair.public_key().as_ref()[1..].to_vec();
                let (x, y) = point.split_at(point.len() / 2);
                let jwk = json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)});
                (jwk, Signer::Curve(pair))
            }
            A::EdDsa => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())});
                (jwk, Signer::Edwards(pair))
            }
            _ => rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), algorithm),
        };
        jwk["alg"] = algorithm.name().into();
        jwk["kid"] = "k1".into();
        Self { algorithm, jwk, signer }
    }

    pub(crate) fn key(&self) -> Key {
        Key::from_local_file(self.jwk.to_string().as_bytes(), None).unwrap()
    }

    pub(crate) fn sign_bytes(&self, signed: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Secret(secret, digest) => hmac_sign(*digest, secret, signed),
            Signer::Rsa(pair, padding) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), signed, &mut out).unwrap();
                out
            }
            Signer::Curve(pair) => {
                pair.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec()
            }
            Signer::Edwards(pair) => pair.sign(signed).as_ref().to_vec(),
        }
    }

    /// A token with exactly these bytes as header and payload.
    pub(crate) fn sign_raw(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = self.sign_bytes(signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm.name(), "kid": "k1", "typ": "at+jwt"})
    }

    pub(crate) fn sign(&self, payload: &Value) -> String {
        self.sign_raw(self.header().to_string().as_bytes(), payload.to_string().as_bytes())
    }
}

fn rsa(pair: RsaKeyPair, algorithm: Algorithm) -> (Value, Signer) {
    use Algorithm as A;
    let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
    let jwk = json!({
        "kty": "RSA",
        "n": b64(n.big_endian_without_leading_zero()),
        "e": b64(e.big_endian_without_leading_zero()),
    });
    let padding: &'static dyn signature::RsaEncoding = match algorithm {
        A::Rs256 => &signature::RSA_PKCS1_SHA256,
        A::Rs384 => &signature::RSA_PKCS1_SHA384,
        A::Rs512 => &signature::RSA_PKCS1_SHA512,
        A::Ps256 => &signature::RSA_PSS_SHA256,
        A::Ps384 => &signature::RSA_PSS_SHA384,
        _ => &signature::RSA_PSS_SHA512,
    };
    (jwk, Signer::Rsa(Box::new(pair), padding))
}

pub(crate) fn hmac_sign(digest: hmac::Algorithm, secret: &[u8], signed: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(digest, secret), signed).as_ref().to_vec()
}

/// Claims that are good at [`NOW_S`].
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada",
        "iat": NOW_S - 10, "exp": NOW_S + 600, "jti": "t1", "role": "user",
    })
}

/// The same with one claim changed.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub(crate) fn claims_without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.algorithm)
    }
}

pub(crate) fn trust(keys: KeySet) -> Verifier {
    Verifier::new(vec![TrustedIssuer::built_in(ISSUER, AUDIENCE, keys)], 5).unwrap()
}

pub(crate) fn trust_external(keys: KeySet) -> Verifier {
    Verifier::new(vec![TrustedIssuer::external(ISSUER, AUDIENCE, keys)], 5).unwrap()
}

pub(crate) fn verify(pair: &Pair, token: &str) -> Result<std::sync::Arc<Claims>, Refusal> {
    trust(pair.key().into()).verify(token, NOW_S)
}

pub(crate) fn with_header(pair: &Pair, name: &str, value: Value) -> String {
    let mut header = pair.header();
    header[name] = value;
    pair.sign_raw(header.to_string().as_bytes(), claims().to_string().as_bytes())
}
