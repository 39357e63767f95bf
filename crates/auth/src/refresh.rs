//! Refresh tokens: opaque, single use, in families. Using one gives the next; using an old one is
//! taken for theft and ends the family. Pure record logic: never knows a store or a clock.
//!
//! A token is `<family>.<secret>`. The next secret is an HMAC of the presented one under a key of
//! the server, so that two tabs that renew at the same moment get the same successor and nothing
//! secret is ever stored: records hold hashes. Without the server's key no secret leads to the
//! next.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::random;

/// Format of [`Family`] records.
pub const FAMILY_V: u32 = 1;
/// How long a token that was just used still gives its successor, ms: for tabs that renew at
/// once.
pub const GRACE_MS: i64 = 10_000;
/// Life of a family that is not used, ms: 30 days.
pub const IDLE_MS: i64 = 30 * 24 * 3_600 * 1_000;
/// Life of a family however much it is used, ms: 90 days.
pub const ABSOLUTE_MS: i64 = 90 * 24 * 3_600 * 1_000;
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
/// Longest text that is looked at, bytes.
const TOKEN_BYTES_MAX: usize = 128;

/// The server's key for deriving successors: 32 bytes, such as
/// [`SigningKey::derive`](crate::SigningKey::derive) gives for a label of its own.
pub struct SuccessorKey([u8; 32]);

impl SuccessorKey {
    /// The key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SuccessorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuccessorKey")
    }
}

/// One sign-in and all the tokens that followed from it, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Format of the record: [`FAMILY_V`].
    pub v: u32,
    /// The key of the record: the first part of its tokens.
    pub id: String,
    /// The account's subject.
    pub subject: String,
    /// When they signed in, ms since 1970.
    pub created_ms: i64,
    /// SHA-256 of the secret that is good now, base64url.
    pub current_hash: String,
    /// SHA-256 of the secret before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_hash: Option<String>,
    /// Until when that one still gives its successor, ms since 1970.
    #[serde(default)]
    pub previous_until_ms: i64,
    /// When the family ends unless it is used, ms since 1970.
    pub expires_ms: i64,
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("subject", &self.subject)
            .field("created_ms", &self.created_ms)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// What becomes of a presented token.
#[derive(Clone, PartialEq, Eq)]
pub enum Rotation {
    /// Good: the record has changed; store it (by compare-and-set: whoever loses reads it again
    /// and rotates again) before this token is answered.
    Next {
        /// The successor.
        token: String,
        /// Its life, seconds.
        expires_in_s: u64,
    },
    /// Used a moment ago, by another tab: the same successor. The record has not changed.
    Same {
        /// The successor.
        token: String,
        /// Its life, seconds.
        expires_in_s: u64,
    },
    /// Not the current token: an old one that somebody kept. Delete the family.
    Reused,
    /// Its time is over. Delete the family.
    Expired,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Next { .. } => "Next",
            Self::Same { .. } => "Same",
            Self::Reused => "Reused",
            Self::Expired => "Expired",
        })
    }
}

/// A new family for `subject`, and its first token. The record is stored before the token is
/// answered.
#[must_use]
pub fn start(subject: &str, now_ms: i64) -> (Family, String) {
    let id = URL_SAFE_NO_PAD.encode(random::bytes::<ID_BYTES>());
    let secret = random::bytes::<SECRET_BYTES>();
    let token = join(&id, &secret);
    let family = Family {
        v: FAMILY_V,
        id,
        subject: subject.to_owned(),
        created_ms: now_ms,
        current_hash: hash(&secret),
        previous_hash: None,
        previous_until_ms: 0,
        expires_ms: now_ms.saturating_add(IDLE_MS),
    };
    (family, token)
}

/// The family a token belongs to, if it is a refresh token by its form: the key to look up.
#[must_use]
pub fn family_of(token: &str) -> Option<&str> {
    split(token).map(|(id, _)| id)
}

impl Family {
    /// Uses `presented` at `now_ms`.
    #[must_use]
    pub fn rotate(&mut self, presented: &str, now_ms: i64, key: &SuccessorKey) -> Rotation {
        if now_ms >= self.expires_ms {
            return Rotation::Expired;
        }
        let Some((_, secret)) = split(presented).filter(|(id, _)| *id == self.id) else {
            return Rotation::Reused;
        };
        let presented = hash(&secret);
        let next = self.successor(&secret, key);
        let token = join(&self.id, &next);
        if same(&presented, &self.current_hash) {
            self.current_hash = hash(&next);
            self.previous_hash = Some(presented);
            self.previous_until_ms = now_ms.saturating_add(GRACE_MS);
            let latest = self.created_ms.saturating_add(ABSOLUTE_MS);
            self.expires_ms = now_ms.saturating_add(IDLE_MS).min(latest);
            return Rotation::Next { token, expires_in_s: self.rest_s(now_ms) };
        }
        let previous = self.previous_hash.as_ref().is_some_and(|hash| same(&presented, hash));
        if previous && now_ms < self.previous_until_ms && same(&hash(&next), &self.current_hash) {
            return Rotation::Same { token, expires_in_s: self.rest_s(now_ms) };
        }
        Rotation::Reused
    }

    /// Whether `token` is, or just was, one of this family: enough to sign out with.
    #[must_use]
    pub fn knows(&self, token: &str) -> bool {
        split(token).filter(|(id, _)| *id == self.id).is_some_and(|(_, secret)| {
            let presented = hash(&secret);
            same(&presented, &self.current_hash)
                || self.previous_hash.as_ref().is_some_and(|hash| same(&presented, hash))
        })
    }

    /// How long the family lasts unless it is used, seconds.
    #[must_use]
    pub fn rest_s(&self, now_ms: i64) -> u64 {
        u64::try_from(self.expires_ms.saturating_sub(now_ms) / 1_000).unwrap_or(0)
    }

    fn successor(&self, secret: &[u8], key: &SuccessorKey) -> [u8; SECRET_BYTES] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(self.id.as_bytes());
        context.update(b".");
        context.update(secret);
        let mut next = [0; SECRET_BYTES];
        next.copy_from_slice(context.sign().as_ref());
        next
    }
}

fn split(token: &str) -> Option<(&str, [u8; SECRET_BYTES])> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (id, secret) = token.split_once('.')?;
    let id_bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
    (id_bytes.len() == ID_BYTES).then_some((id, secret))
}

fn join(id: &str, secret: &[u8]) -> String {
    format!("{id}.{}", URL_SAFE_NO_PAD.encode(secret))
}

fn hash(secret: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret))
}

fn same(a: &str, b: &str) -> bool {
    verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
