//! Who is trusted, what their tokens mean here, and the one map from (issuer, subject) to a user.

use tasktonic_core::UserId;

use super::{Error, ISSUERS_MAX};
use crate::{KeySet, Role};

/// Longest issuer or audience, bytes.
const ISSUER_BYTES_MAX: usize = 256;

/// Somebody whose tokens are believed.
#[derive(Debug)]
pub struct TrustedIssuer {
    /// As in `iss`, compared byte for byte.
    pub issuer: String,
    /// Must be among `aud`.
    pub audience: String,
    /// Their keys. May be empty until the first set has been fetched.
    pub keys: KeySet,
    /// Whether this is our own issuer: its `role` claim is our word, its subjects are account
    /// names, and only `typ: at+jwt` is an access token.
    pub built_in: bool,
    /// Whether tokens with `typ: JWT`, or without `typ`, count as access tokens. Many providers
    /// issue such; ID tokens are still told apart by their claims.
    pub plain_jwt: bool,
    /// The claim that holds the caller's groups: a text or an array of texts. Read for external
    /// issuers only; without it everybody is a user.
    pub role_claim: Option<String>,
    /// What the values of that claim mean. The first row that is present decides; a caller with
    /// none of them is a user.
    pub roles: Vec<(String, Role)>,
}

impl TrustedIssuer {
    /// Our own issuer.
    #[must_use]
    pub fn built_in(issuer: &str, audience: &str, keys: KeySet) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            keys,
            built_in: true,
            plain_jwt: false,
            role_claim: None,
            roles: Vec::new(),
        }
    }

    /// An external issuer whose callers are all users, until `role_claim` and `roles` say more.
    #[must_use]
    pub fn external(issuer: &str, audience: &str, keys: KeySet) -> Self {
        Self { built_in: false, plain_jwt: true, ..Self::built_in(issuer, audience, keys) }
    }

    pub(super) fn with_keys(&self, keys: KeySet) -> Self {
        Self {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys,
            built_in: self.built_in,
            plain_jwt: self.plain_jwt,
            role_claim: self.role_claim.clone(),
            roles: self.roles.clone(),
        }
    }

    /// What must hold for every issuer.
    pub(super) fn check(&self) -> Result<(), Error> {
        for text in [&self.issuer, &self.audience] {
            let fits = !text.is_empty() && text.len() <= ISSUER_BYTES_MAX;
            if !fits || text.chars().any(|char| char.is_control() || char.is_whitespace()) {
                return Err(Error::IssuerMalformed(self.issuer.clone()));
            }
        }
        Ok(())
    }

    /// The user that `subject` of this issuer is.
    ///
    /// A built-in subject is encoded as it is. An external one is joined to its issuer, so that
    /// two issuers never meet in one user, unless it is `alone`: the only issuer there is. Neither
    /// part holds a line break (both are checked), so distinct pairs are distinct texts.
    pub(super) fn user(&self, subject: &str, alone: bool) -> UserId {
        if self.built_in || alone {
            return UserId::encode(subject);
        }
        UserId::encode(&format!("{}\n{subject}", self.issuer))
    }
}

/// What must hold for all issuers together.
pub(super) fn check(issuers: &[TrustedIssuer]) -> Result<(), Error> {
    if issuers.len() > ISSUERS_MAX {
        return Err(Error::TooMany);
    }
    for (at, issuer) in issuers.iter().enumerate() {
        issuer.check()?;
        if issuers[..at].iter().any(|other| other.issuer == issuer.issuer) {
            return Err(Error::IssuerTwice(issuer.issuer.clone()));
        }
    }
    if issuers.iter().filter(|issuer| issuer.built_in).count() > 1 {
        return Err(Error::BuiltInTwice);
    }
    Ok(())
}
