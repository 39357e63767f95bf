//! Keys that check signatures. Each has exactly one algorithm, fixed when it is loaded; weak keys
//! never get that far. Never knows where a key document came from.

mod algorithm;
mod jwk;
mod rsa;
mod set;

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;

pub use algorithm::Algorithm;
pub use set::{KeySet, LeftOut};

/// Smallest HMAC secret, bytes.
pub const HMAC_BYTES_MIN: usize = 32;
/// Largest HMAC secret, bytes.
pub const HMAC_BYTES_MAX: usize = 1024;
/// Smallest RSA modulus, bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Largest RSA modulus, bits.
pub const RSA_BITS_MAX: usize = 8192;
/// Longest key id, bytes.
pub const KID_BYTES_MAX: usize = 256;
/// Keys in one set.
pub const KEYS_MAX: usize = 100;
/// Largest key document, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Why a key or a set of keys is refused. Never holds key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Error {
    /// Not a JSON object, a member twice, or too large.
    #[error("the key document is not well-formed JSON without repeated members; check the file")]
    Document,
    /// A member that its type of key must have is missing or malformed.
    #[error("a member of the key is missing or malformed; export the key again")]
    Member,
    /// A type of key or a curve that is not offered.
    #[error("this type of key or curve is not offered; use RSA, P-256, P-384 or Ed25519")]
    Unsupported,
    /// An algorithm that is not offered.
    #[error("this algorithm is not offered; use one of HS, RS, PS, ES256, ES384 or EdDSA")]
    Algorithm,
    /// The algorithm does not belong to the type of key, or not to the one asked for.
    #[error("the algorithm contradicts the key; fix `alg` or the algorithm given beside it")]
    Contradiction,
    /// RSA and HMAC keys do not say their algorithm by themselves.
    #[error("the key does not say its algorithm; add `alg` or give the algorithm beside it")]
    AlgorithmMissing,
    /// Fewer bits than are safe, an exponent of 1, or a modulus of a known broken generator.
    #[error(
        "the key is weak; HMAC secrets need 32 bytes, RSA 2048 bits and an odd exponent above 1"
    )]
    Weak,
    /// Meant for encryption, or for something else than verifying.
    #[error("the key is not meant for signatures; look at its `use` and `key_ops`")]
    Purpose,
    /// A shared secret where only public keys may be.
    #[error("a shared secret is accepted from a local file only")]
    Symmetric,
    /// Two keys with one id: a token could not say which it means.
    #[error("two keys share one id; give each its own `kid`")]
    IdTwice,
    /// No usable key in the set.
    #[error("the set holds no usable key")]
    Empty,
    /// More than [`KEYS_MAX`] keys.
    #[error("the set holds more than 100 keys; remove the old ones")]
    TooMany,
}

impl Error {
    /// A stable word for logs and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "key_document",
            Self::Member => "key_member",
            Self::Unsupported => "key_unsupported",
            Self::Algorithm => "key_algorithm",
            Self::Contradiction => "key_contradiction",
            Self::AlgorithmMissing => "key_algorithm_missing",
            Self::Weak => "key_weak",
            Self::Purpose => "key_purpose",
            Self::Symmetric => "key_symmetric",
            Self::IdTwice => "key_id_twice",
            Self::Empty => "key_set_empty",
            Self::TooMany => "key_set_too_many",
        }
    }
}

/// A verification key with its one algorithm.
pub struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl Key {
    /// The public key in a JWK (JSON text). `pinned` names the algorithm for a key that does not
    /// say it; a key that says another one is refused.
    ///
    /// # Errors
    /// Every way in which a key can be unusable or weak; [`Error::Symmetric`] for a secret.
    pub fn from_jwk(json: &[u8], pinned: Option<Algorithm>) -> Result<Self, Error> {
        jwk::read(&jwk::document(json)?, pinned, false)
    }

    /// As [`Key::from_jwk`], and takes a shared secret (`kty: oct`) too: only for a file of this
    /// machine, never for a document that came over the network.
    ///
    /// # Errors
    /// As for [`Key::from_jwk`].
    pub fn from_local_file(json: &[u8], pinned: Option<Algorithm>) -> Result<Self, Error> {
        jwk::read(&jwk::document(json)?, pinned, true)
    }

    /// The key's id, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm it is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether whoever checks with it could also sign.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// Whether `signature` is this key's over `signed`. Secrets are compared in constant time.
    #[must_use]
    pub fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Public(key) => key.verify_sig(signed, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
