//! Access tokens: whose they are, and whether they may be believed now. Never knows where keys
//! come from, and never fetches one.

mod cache;
mod claims;
mod issuers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tasktonic_core::UserId;

use crate::jws::Parts;
use crate::{KeySet, Refusal, Role};
use cache::Cache;
pub use issuers::TrustedIssuer;

/// Largest leeway for clocks that differ, seconds.
pub const LEEWAY_S_MAX: u32 = 300;
/// Longest subject, bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Longest name for people, characters; longer ones are not shown.
pub const NAME_CHARS_MAX: usize = 200;
/// Scopes in one token.
pub const SCOPES_MAX: usize = 100;
/// Issuers that are trusted at once.
pub const ISSUERS_MAX: usize = 50;
/// Verified tokens that are remembered, at most twice this.
pub const CACHE_TOKENS_MAX: usize = 10_000;

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who, as the issuer spells it.
    pub subject: String,
    /// Who, as this system spells it: the same for the same issuer and subject, different else.
    pub user: UserId,
    /// Who vouches for them.
    pub issuer: String,
    /// What kind of caller.
    pub role: Role,
    /// What people call them.
    pub name: Option<String>,
    /// What the token allows; empty means all that the role does.
    pub scopes: Vec<String>,
    /// When it was issued, seconds since 1970.
    pub issued_s: Option<i64>,
    /// When it ends, seconds since 1970.
    pub expires_s: i64,
    /// The token's own id.
    pub token_id: Option<String>,
}

/// Why a verifier cannot be made as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The same issuer twice.
    #[error("the issuer {0} is configured twice; keep one of them")]
    IssuerTwice(String),
    /// An issuer or an audience that no token could match.
    #[error("an issuer and its audience are 1 to 256 visible characters; the issuer {0:?} is not")]
    IssuerMalformed(String),
    /// Two built-in issuers: their users could not be told apart.
    #[error("there can be one built-in issuer only")]
    BuiltInTwice,
    /// More than [`ISSUERS_MAX`].
    #[error("more than 50 issuers are configured; remove some")]
    TooMany,
    /// More than [`LEEWAY_S_MAX`].
    #[error("the leeway is at most 300 seconds")]
    Leeway,
    /// No such issuer.
    #[error("the issuer {0} is not configured")]
    IssuerUnknown(String),
}

/// Decides about access tokens. Shared by all threads; keys may be replaced while it is used.
#[derive(Debug)]
pub struct Verifier {
    state: RwLock<Arc<State>>,
    cache: Cache,
    leeway_s: i64,
    /// Whether a token named a key that is not known.
    unknown: AtomicBool,
}

#[derive(Debug)]
struct State {
    issuers: Vec<Arc<TrustedIssuer>>,
    /// Rises whenever a key changes.
    generation: u64,
}

impl Verifier {
    /// Trusts these issuers; clocks may differ by `leeway_s` seconds.
    ///
    /// # Errors
    /// A configuration under which tokens could not be told apart or never match.
    pub fn new(issuers: Vec<TrustedIssuer>, leeway_s: u32) -> Result<Self, Error> {
        if leeway_s > LEEWAY_S_MAX {
            return Err(Error::Leeway);
        }
        issuers::check(&issuers)?;
        let issuers = issuers.into_iter().map(Arc::new).collect();
        Ok(Self {
            state: RwLock::new(Arc::new(State { issuers, generation: 0 })),
            cache: Cache::new(CACHE_TOKENS_MAX),
            leeway_s: leeway_s.into(),
            unknown: AtomicBool::new(false),
        })
    }

    /// Replaces all keys of one issuer, and forgets what was verified with the old ones.
    ///
    /// # Errors
    /// [`Error::IssuerUnknown`].
    pub fn replace_keys(&self, issuer: &str, keys: KeySet) -> Result<(), Error> {
        let mut state = self.state.write();
        let at = state
            .issuers
            .iter()
            .position(|known| known.issuer == issuer)
            .ok_or_else(|| Error::IssuerUnknown(issuer.to_owned()))?;
        let mut issuers = state.issuers.clone();
        issuers[at] = Arc::new(issuers[at].with_keys(keys));
        *state = Arc::new(State { issuers, generation: state.generation + 1 });
        drop(state);
        self.cache.clear();
        Ok(())
    }

    /// What the token says, if it may be believed at `now_s` (seconds since 1970).
    ///
    /// A verdict of an asymmetric signature is remembered under the SHA-256 of the whole token and
    /// the generation of the keys; the times are checked on every call.
    ///
    /// # Errors
    /// See [`Refusal`]. [`Refusal::UnknownKey`] may mean that the issuer has a new key.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Arc<Claims>, Refusal> {
        if token.len() > crate::jws::TOKEN_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let state = Arc::clone(&self.state.read());
        let name = Cache::name(token, state.generation);
        if let Some(known) = self.cache.get(&name) {
            known.times.check(now_s, self.leeway_s)?;
            return Ok(Arc::clone(&known.claims));
        }
        let read = self.read(&state, token, now_s).inspect_err(|refusal| {
            if *refusal == Refusal::UnknownKey {
                self.unknown.store(true, Ordering::Relaxed);
            }
        })?;
        let claims = Arc::clone(&read.known.claims);
        if read.worth_remembering {
            self.cache.put(name, read.known);
        }
        Ok(claims)
    }

    /// Whether, since this was last asked, a token named a key or an issuer that is not known:
    /// whoever gets keys from elsewhere may ask there again.
    #[must_use]
    pub fn take_unknown(&self) -> bool {
        self.unknown.swap(false, Ordering::Relaxed)
    }

    fn read(&self, state: &State, token: &str, now_s: i64) -> Result<Read, Refusal> {
        let parts = Parts::of(token.as_bytes())?;
        let payload = crate::json::object(&parts.payload).ok_or(Refusal::Malformed)?;
        // Not believed yet: it only says whose key must fit.
        let issuer = payload.get("iss").and_then(serde_json::Value::as_str);
        let issuer = state
            .issuers
            .iter()
            .find(|known| Some(known.issuer.as_str()) == issuer)
            .ok_or(Refusal::UnknownKey)?;
        let key = parts.check(&issuer.keys)?;
        let times = claims::Times::of(&payload)?;
        times.check(now_s, self.leeway_s)?;
        claims::check_type(&parts, &payload, issuer)?;
        claims::check_audience(&payload, &issuer.audience)?;
        let alone = state.issuers.len() == 1;
        let claims = Arc::new(claims::of(&payload, issuer, alone, times)?);
        let worth_remembering = !key.is_symmetric();
        Ok(Read { known: Known { claims, times }, worth_remembering })
    }
}

/// A token whose signature and claims were good.
#[derive(Debug)]
struct Known {
    claims: Arc<Claims>,
    times: claims::Times,
}

struct Read {
    known: Known,
    worth_remembering: bool,
}
