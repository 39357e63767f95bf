//! Access tokens made here: Ed25519, `typ: at+jwt`. Refresh tokens are opaque and live in
//! [`crate::refresh`]. Never knows where the key is kept: it is bytes in and bytes out.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Key, KeySet, Role, random};

/// Life of an access token, seconds.
pub const ACCESS_TTL_S: u32 = 600;
/// The longest life a token may be given, seconds: a year, for workers and services.
pub const TTL_S_MAX: u32 = 365 * 24 * 3_600;

/// Bytes that are no usable signing key. Holds none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key cannot be read; restore its file, or remove it to make a new one")]
pub struct SigningKeyError;

/// The private key that signs access tokens.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: String,
}

impl SigningKey {
    /// A new key from the operating system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(Ed25519KeyPair::generate().expect("the generator of aws-lc never fails"))
    }

    /// The key in these PKCS#8 bytes (DER, version 1 or 2).
    ///
    /// # Errors
    /// The bytes are not an Ed25519 key, or its halves do not belong together.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, SigningKeyError> {
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes).map_err(|_| SigningKeyError)?;
        Ok(Self::new(pair))
    }

    /// The key as PKCS#8 bytes, for a file that only its owner can read (mode 0600).
    #[must_use]
    pub fn to_pkcs8(&self) -> Vec<u8> {
        let document = self.pair.to_pkcs8().expect("a key in memory can be encoded");
        document.as_ref().to_vec()
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        // RFC 7638: the required members in the order of their names, without spaces.
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
        Self { pair, kid }
    }

    /// The key's id: its thumbprint (RFC 7638, RFC 8037).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as a JWK.
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": x,
            "kid": self.kid, "use": "sig", "alg": "EdDSA",
        })
    }

    /// The public half, ready to verify with.
    #[must_use]
    pub fn public_key(&self) -> Key {
        let jwk = self.public_jwk().to_string();
        Key::from_jwk(jwk.as_bytes(), None).expect("our own public key is a good one")
    }

    /// 32 bytes that depend on this key and on `label`, for secrets of the server that need no
    /// file of their own.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let seed = self.pair.seed().expect("a key in memory has a seed");
        let seed = seed.as_be_bytes().expect("a seed is 32 bytes");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, seed.as_ref());
        let tag = aws_lc_rs::hmac::sign(&key, label.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// What an access token shall say.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Who.
    pub subject: String,
    /// What kind of caller.
    pub role: Role,
    /// What people call them.
    pub name: Option<String>,
    /// What it allows; empty means all that the role does.
    pub scopes: Vec<String>,
    /// Its life, seconds; at most [`TTL_S_MAX`].
    pub ttl_s: u32,
    /// Whom it is for.
    pub audience: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Makes access tokens in the name of this installation.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    key: SigningKey,
    retired: Vec<SigningKey>,
}

impl Issuer {
    /// Signs with `key`, as the issuer `name` (the `iss` of its tokens).
    #[must_use]
    pub fn new(name: impl Into<String>, key: SigningKey) -> Self {
        Self { name: name.into(), key, retired: Vec::new() }
    }

    /// The same, and still vouches for tokens of an earlier key.
    #[must_use]
    pub fn with_retired(mut self, key: SigningKey) -> Self {
        self.retired.push(key);
        self
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key it signs with.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A signed access token that is good from `now_s` (seconds since 1970).
    #[must_use]
    pub fn mint(&self, new: &NewToken, now_s: i64) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.key.kid, "typ": "at+jwt" });
        let payload = Payload {
            iss: &self.name,
            sub: &new.subject,
            aud: &new.audience,
            iat: now_s,
            exp: now_s.saturating_add(new.ttl_s.min(TTL_S_MAX).into()),
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<16>()),
            role: new.role,
            name: new.name.as_deref(),
            scope: (!new.scopes.is_empty()).then(|| new.scopes.join(" ")),
        };
        let payload = serde_json::to_vec(&payload).expect("texts and numbers are JSON");
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.key.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// The public keys, to verify with.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        let json = self.jwks_json();
        KeySet::from_jwks(json.as_bytes(), None).expect("our own public keys are good ones")
    }

    /// The public keys as a JWKS document, for `/.well-known/jwks.json`.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        let mut keys = vec![self.key.public_jwk()];
        for key in &self.retired {
            if key.kid != self.key.kid {
                keys.push(key.public_jwk());
            }
        }
        json!({ "keys": keys }).to_string()
    }
}
