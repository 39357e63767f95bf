//! One compact JWS (RFC 7515): strict form, then the key, then the algorithm, then the signature.
//! Never knows claims or times.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::key::KID_BYTES_MAX;
use crate::{Algorithm, Key, KeySet, Refusal};

/// Largest token, bytes. Larger ones are refused before anything else is done.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Header members that would change what the signature means, or bring or fetch a key. None of
/// them is offered, so a token that has one is refused rather than half understood.
const HEADERS_REFUSED: &[&str] =
    &["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc", "epk", "apu", "apv", "p2s", "p2c"];

/// Where the key of a token may come from.
pub trait Keys {
    /// The key for a token with this `kid`.
    fn find(&self, kid: Option<&str>) -> Option<&Key>;
}

impl Keys for Key {
    /// This key, unless both have an id and the ids differ.
    fn find(&self, kid: Option<&str>) -> Option<&Key> {
        let agree = kid.is_none() || self.kid().is_none() || self.kid() == kid;
        agree.then_some(self)
    }
}

impl Keys for KeySet {
    fn find(&self, kid: Option<&str>) -> Option<&Key> {
        KeySet::find(self, kid)
    }
}

/// A token whose form is right and whose signature has not been checked.
pub(crate) struct Parts<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Vec<u8>,
    algorithm: Algorithm,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    pub(crate) fn of(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let mut dots =
            token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Refusal::Malformed);
        };
        let header = decode(&token[..first])?;
        let payload = decode(&token[first + 1..second])?;
        let signature = decode(&token[second + 1..])?;
        let header = crate::json::object(&header).ok_or(Refusal::Malformed)?;
        if HEADERS_REFUSED.iter().any(|name| header.contains_key(*name)) {
            return Err(Refusal::Malformed);
        }
        for name in ["typ", "cty", "kid"] {
            match header.get(name) {
                None => {}
                Some(Value::String(text)) if text.len() <= KID_BYTES_MAX => {}
                Some(_) => return Err(Refusal::Malformed),
            }
        }
        let name = header.get("alg").and_then(Value::as_str).ok_or(Refusal::Malformed)?;
        let algorithm = Algorithm::from_name(name).ok_or(Refusal::Algorithm)?;
        Ok(Self { algorithm, header, payload, signed: &token[..second], signature })
    }

    /// A text of the header.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// Checks the signature with the key that `keys` has for this token.
    pub(crate) fn check<'k>(&self, keys: &'k impl Keys) -> Result<&'k Key, Refusal> {
        let key = keys.find(self.text("kid")).ok_or(Refusal::UnknownKey)?;
        // The key says which algorithm; the header must merely agree.
        if key.algorithm() != self.algorithm {
            return Err(Refusal::Algorithm);
        }
        if key.verifies(self.signed, &self.signature) { Ok(key) } else { Err(Refusal::Signature) }
    }
}

/// Base64url in its only spelling: no padding, no whitespace, no stray trailing bits.
fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)
}

/// The payload bytes of a compact JWS, unchanged, if its signature fits the key of `keys` that it
/// means. With `pinned`, that key must also be one of this algorithm. The payload need not be
/// JSON, and nothing about its content is checked.
///
/// # Errors
/// Form first, then key, algorithm and signature: see [`Refusal`].
pub fn verify_compact(
    token: impl AsRef<[u8]>,
    keys: &impl Keys,
    pinned: Option<Algorithm>,
) -> Result<Vec<u8>, Refusal> {
    let parts = Parts::of(token.as_ref())?;
    if pinned.is_some_and(|pinned| pinned != parts.algorithm) {
        return Err(Refusal::Algorithm);
    }
    parts.check(keys)?;
    Ok(parts.payload)
}
