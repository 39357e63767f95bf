//! Why a token is refused. Never holds any part of the token.

use tasktonic_protocol::problem::Code;

/// Why a token is refused.
///
/// The order of checks is form, key, algorithm, signature, times, claims: nothing about the
/// content is said before the signature has proven who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Not a compact JWS in its only accepted spelling, or its JSON is not as it must be.
    #[error("the token is malformed; sign in again")]
    Malformed,
    /// Larger than [`TOKEN_BYTES_MAX`](crate::jws::TOKEN_BYTES_MAX).
    #[error("the token is too large; sign in again")]
    TooLarge,
    /// Signed by nobody who is trusted here, or with a key that is not known (yet).
    #[error("the token is signed by nobody who is trusted here; sign in again")]
    UnknownKey,
    /// The header names an algorithm that is not the key's, or none at all.
    #[error("the token is signed in a way that is not accepted; sign in again")]
    Algorithm,
    /// The signature does not fit.
    #[error("the signature of the token does not fit; sign in again")]
    Signature,
    /// No `exp`, or a time that is not a whole number of seconds.
    #[error("the token has no proper times; sign in again")]
    Times,
    /// Its time is over.
    #[error("the token has expired; refresh it or sign in again")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; check the clocks of the two machines")]
    NotYet,
    /// Not an access token.
    #[error("this is not an access token; sign in to get one")]
    Type,
    /// Made for somebody else.
    #[error("the token is meant for another service; sign in here")]
    Audience,
    /// No usable subject.
    #[error("the token names nobody; sign in again")]
    Subject,
    /// A claim about the caller cannot be understood.
    #[error("the claims of the token cannot be understood; sign in again")]
    Claims,
}

impl Refusal {
    /// The word on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Algorithm => Code::TokenAlgorithm,
            Self::Expired => Code::TokenExpired,
            _ => Code::TokenInvalid,
        }
    }

    /// A stable word for logs and the command line, finer than [`Refusal::code`]. Not for
    /// answers over HTTP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownKey => "unknown_key",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Times => "times",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Type => "type",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Claims => "claims",
        }
    }
}
