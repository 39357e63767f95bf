//! Who is who: accounts and refresh families in the registry, the key that signs access tokens,
//! and the issuers that are trusted beside our own. What anybody may do is decided in each route.

mod cookies;
mod external;
mod key_file;
mod routes;
#[cfg(test)]
mod tests;
mod tries;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tasktonic_auth::account::{self, Account};
use tasktonic_auth::door::IssuerPart;
use tasktonic_auth::issue::ACCESS_TTL_S;
use tasktonic_auth::refresh::{self, Family, Rotation, SuccessorKey};
use tasktonic_auth::throttle::{RetryAfterMs, Throttle};
use tasktonic_auth::{Claims, Issuer, KeySet, NewToken, Refusal, Role, TrustedIssuer, Verifier};
use tasktonic_protocol::http::Tokens;
use tasktonic_store::clock::Clock;
use tasktonic_store::{Expect, Registry, Store, Table};
use tokio::sync::Semaphore;

pub use external::IssuerFile;
use external::Watched;
pub(crate) use routes::routes;
use tries::Tries;

/// `iss` of our own tokens.
pub const ISSUER: &str = "tasktonic";
/// `aud` of our own tokens.
pub const AUDIENCE: &str = "tasktonic";
/// Clocks of issuers may differ from ours by this much, seconds.
const LEEWAY_S: u32 = 5;
/// Passwords that are hashed at once: each takes a core and 19 MiB for some tens of ms.
const HASHES_MAX: usize = 2;
/// Sign-ins that may wait for that; others are asked to come back.
const HASHES_WAITING_MAX: usize = 64;
/// Sign-ins of one user that are kept; those used longest ago end first.
const SIGN_INS_MAX: usize = 100;
/// Times a change of a record is tried against others.
const CHANGES_MAX: u32 = 16;

/// Why something about identities could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or password that cannot be.
    #[error(transparent)]
    Account(#[from] account::Error),
    /// There is such an account already.
    #[error("there is an account {0} already; choose another name, or change its password")]
    Exists(String),
    /// There is no such account.
    #[error("there is no account {0}")]
    Unknown(String),
    /// The registry does not answer.
    #[error(transparent)]
    Store(#[from] tasktonic_store::Error),
    /// A record of the registry cannot be read.
    #[error("the record of {0} cannot be read; it was written by a later version")]
    Unreadable(String),
    /// A file with keys.
    #[error("{0}")]
    Keys(String),
    /// The issuers contradict each other.
    #[error(transparent)]
    Issuers(#[from] tasktonic_auth::verify::Error),
    /// A life that no token may have.
    #[error("a token lives between 1 second and one year")]
    Ttl,
}

/// Why somebody could not sign in or stay signed in.
#[derive(Debug)]
pub(crate) enum Denied {
    /// Name or password are wrong, and nobody says which.
    Credentials,
    /// The refresh token is of no use.
    Refresh,
    /// Too many tries.
    Throttled(RetryAfterMs),
    /// Too many sign-ins at once.
    Busy,
    /// Something else.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Denied {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Who is who. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    issuer: Issuer,
    verifier: Verifier,
    successor: SuccessorKey,
    throttle: Throttle,
    tries: Tries,
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    external: Mutex<Vec<Watched>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("key", self.0.issuer.key()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Opens what is known of identities: accounts and families in the store's registry, the
    /// signing key in the folder `keys` (made with mode 0700, the key with 0600, at the first
    /// start), and external issuers from their key files.
    ///
    /// # Errors
    /// The folder, the key or a key file cannot be used; issuers that contradict each other.
    pub fn open(
        store: Arc<dyn Store>,
        keys: &Path,
        external: Vec<IssuerFile>,
        clock: Clock,
    ) -> Result<Self, Error> {
        let key = key_file::open(keys)?;
        let successor = SuccessorKey::new(key.derive("refresh token successors"));
        let tries = Tries::new(key.derive("places of names that sign in"), Throttle::ACCOUNT);
        let issuer = Issuer::new(ISSUER, key);
        let mut trusted = vec![TrustedIssuer::built_in(ISSUER, AUDIENCE, issuer.key_set())];
        let mut watched = Vec::new();
        for file in external {
            let (issuer, file) = Watched::open(file)?;
            trusted.push(issuer);
            watched.push(file);
        }
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            issuer,
            verifier: Verifier::new(trusted, LEEWAY_S)?,
            successor,
            throttle: Throttle::default(),
            tries,
            hashing: Arc::new(Semaphore::new(HASHES_MAX)),
            waiting: Arc::new(Semaphore::new(HASHES_WAITING_MAX)),
            external: Mutex::new(watched),
        })))
    }

    fn now_s(&self) -> i64 {
        self.0.clock.now_ms().div_euclid(1_000)
    }

    fn registry(&self) -> &dyn Registry {
        self.0.store.registry()
    }

    /// What decides about tokens.
    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// What an access token says, if it may be believed now.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn verify(&self, token: &str) -> Result<Arc<Claims>, Refusal> {
        self.0.verifier.verify(token, self.now_s())
    }

    /// Our public keys, as a JWKS document.
    #[must_use]
    pub fn jwks_json(&self) -> String {
        self.0.issuer.jwks_json()
    }

    /// An access token for `subject`, good for `ttl_s` seconds: for workers, services and
    /// operators at the machine itself.
    ///
    /// # Errors
    /// [`Error::Ttl`].
    pub fn mint(&self, subject: &str, role: Role, ttl_s: u32) -> Result<String, Error> {
        if !(1..=tasktonic_auth::issue::TTL_S_MAX).contains(&ttl_s) {
            return Err(Error::Ttl);
        }
        Ok(self.token(subject, role, None, ttl_s))
    }

    fn token(&self, subject: &str, role: Role, name: Option<String>, ttl_s: u32) -> String {
        let new = NewToken {
            subject: subject.to_owned(),
            role,
            name,
            scopes: Vec::new(),
            ttl_s,
            audience: AUDIENCE.to_owned(),
        };
        self.0.issuer.mint(&new, self.now_s())
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Error::Account`], [`Error::Exists`], [`Error::Store`].
    pub async fn create_account(
        &self,
        name: &str,
        password: &str,
        role: Role,
    ) -> Result<Account, Error> {
        let (name, password) = (name.to_owned(), password.to_owned());
        let now_ms = self.0.clock.now_ms();
        let account = blocking(move || Account::new(&name, role, &password, now_ms)).await?;
        let (key, value) = (account.name.clone(), to_json(&account));
        match self.registry().put(Table::Accounts, &key, value, Expect::Absent).await? {
            Some(_) => Ok(account),
            None => Err(Error::Exists(key)),
        }
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Unreadable`].
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let entries = self.registry().list(Table::Accounts).await?;
        entries.iter().map(|entry| from_json(&entry.key, &entry.value)).collect()
    }

    /// Changes an account's password and ends what was signed in with the old one.
    ///
    /// # Errors
    /// [`Error::Account`], [`Error::Unknown`], [`Error::Store`].
    pub async fn set_password(&self, name: &str, password: &str) -> Result<(), Error> {
        let (mut changed, password) = (self.known_account(name).await?, password.to_owned());
        let changed = blocking(move || changed.set_password(&password).map(|()| changed)).await?;
        let hash = changed.password_hash;
        let account =
            self.change_account(name, |account| account.password_hash.clone_from(&hash)).await?;
        self.sign_out_everywhere(&account.subject).await
    }

    /// Allows or refuses signing in. Access tokens already given out end within ten minutes.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Store`].
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), Error> {
        let account = self.change_account(name, |account| account.disabled = disabled).await?;
        if disabled { self.sign_out_everywhere(&account.subject).await } else { Ok(()) }
    }

    /// Removes the built-in account of a user, and ends what is signed in with it. Access tokens
    /// already given out end within ten minutes.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Unreadable`].
    pub(crate) async fn forget(&self, user: &tasktonic_core::UserId) -> Result<(), Error> {
        for account in self.accounts().await? {
            if tasktonic_core::UserId::encode(&account.subject) == *user {
                self.sign_out_everywhere(&account.subject).await?;
                self.registry().delete(Table::Accounts, &account.name).await?;
            }
        }
        Ok(())
    }

    async fn known_account(&self, name: &str) -> Result<Account, Error> {
        let known = match account::account_name(name) {
            Some(key) => self.account(&key).await?,
            None => None,
        };
        known.ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    async fn change_account(
        &self,
        name: &str,
        change: impl Fn(&mut Account),
    ) -> Result<Account, Error> {
        let unknown = || Error::Unknown(name.to_owned());
        let key = account::account_name(name).ok_or_else(unknown)?;
        for _ in 0..CHANGES_MAX {
            let entry = self.registry().get(Table::Accounts, &key).await?.ok_or_else(unknown)?;
            let mut account: Account = from_json(&key, &entry.value)?;
            change(&mut account);
            let expect = Expect::Version(entry.version);
            let put = self.registry().put(Table::Accounts, &key, to_json(&account), expect);
            if put.await?.is_some() {
                return Ok(account);
            }
        }
        Err(tasktonic_store::Error::Busy.into())
    }

    async fn sign_out_everywhere(&self, subject: &str) -> Result<(), Error> {
        for entry in self.registry().list(Table::Refresh).await? {
            let of = serde_json::from_str::<Family>(&entry.value).map(|family| family.subject);
            if of.is_ok_and(|of| of == subject) {
                self.registry().delete(Table::Refresh, &entry.key).await?;
            }
        }
        Ok(())
    }

    async fn account(&self, key: &str) -> Result<Option<Account>, Error> {
        match self.registry().get(Table::Accounts, key).await? {
            Some(entry) => from_json(key, &entry.value).map(Some),
            None => Ok(None),
        }
    }

    /// Signs in with a password.
    pub(crate) async fn sign_in(
        &self,
        name: &str,
        password: String,
        from: IpAddr,
    ) -> Result<Tokens, Denied> {
        let now_ms = self.0.clock.now_ms();
        self.0.throttle.check_address(from, now_ms).map_err(Denied::Throttled)?;
        if let Err(denied) = self.0.tries.count(self.registry(), name, now_ms).await {
            self.0.throttle.uncount_address(from);
            return Err(denied);
        }
        let key = account::account_name(name);
        let account = match &key {
            Some(key) => self.account(key).await?,
            None => None,
        };
        let place = self.0.waiting.clone().try_acquire_owned().map_err(|_| Denied::Busy)?;
        let core = self.0.hashing.clone().acquire_owned().await.map_err(|_| Denied::Busy)?;
        // Unknown names cost the same and get the same answer. The places go with the work: it
        // goes on though whoever asked has gone.
        let known = blocking(move || {
            let _held = (place, core);
            account::sign_in(account.as_ref(), &password).cloned()
        })
        .await;
        let account = known.ok_or(Denied::Credentials)?;
        self.0.tries.forgive(self.registry(), name).await?;
        let now_ms = self.0.clock.now_ms();
        let (family, token) = refresh::start(&account.subject, now_ms);
        let put = self.registry().put(Table::Refresh, &family.id, to_json(&family), Expect::Absent);
        put.await?;
        // A change of the account ends the sign-ins it finds; this one came after it had looked.
        let after = self.account(&account.name).await?;
        if after.is_none_or(|after| after.disabled || after.password_hash != account.password_hash)
        {
            self.registry().delete(Table::Refresh, &family.id).await?;
            return Err(Denied::Credentials);
        }
        let rest_s = family.rest_s(now_ms);
        Ok(self.tokens(&account, token, rest_s))
    }

    fn tokens(&self, account: &Account, refresh_token: String, refresh_expires_in: u64) -> Tokens {
        let name = Some(account.name.clone());
        Tokens {
            access_token: self.token(&account.subject, account.role, name, ACCESS_TTL_S),
            token_type: "Bearer".to_owned(),
            expires_in: ACCESS_TTL_S.into(),
            refresh_token,
            refresh_expires_in,
            user: tasktonic_core::UserId::encode(&account.subject).to_string(),
        }
    }

    /// Exchanges a refresh token for the next pair.
    pub(crate) async fn refresh(&self, presented: &str) -> Result<Tokens, Denied> {
        let id = refresh::family_of(presented).ok_or(Denied::Refresh)?;
        for _ in 0..CHANGES_MAX {
            let found = self.registry().get(Table::Refresh, id).await?;
            let entry = found.ok_or(Denied::Refresh)?;
            let mut family: Family = from_json("a sign-in", &entry.value)?;
            let account = self.account(&family.subject).await?;
            let Some(account) = account.filter(|account| !account.disabled) else {
                self.registry().delete(Table::Refresh, id).await?;
                return Err(Denied::Refresh);
            };
            let now_ms = self.0.clock.now_ms();
            match family.rotate(presented, now_ms, &self.0.successor) {
                Rotation::Next { token, expires_in_s } => {
                    let expect = Expect::Version(entry.version);
                    let put = self.registry().put(Table::Refresh, id, to_json(&family), expect);
                    if put.await?.is_some() {
                        return Ok(self.tokens(&account, token, expires_in_s));
                    }
                    // Another tab was quicker: its successor is ours too.
                }
                Rotation::Same { token, expires_in_s } => {
                    return Ok(self.tokens(&account, token, expires_in_s));
                }
                rotation @ (Rotation::Reused | Rotation::Expired) => {
                    if rotation == Rotation::Reused {
                        tracing::warn!(user = %account.name, "a used refresh token came again; the sign-in was ended");
                    }
                    self.registry().delete(Table::Refresh, id).await?;
                    return Err(Denied::Refresh);
                }
            }
        }
        Err(Denied::Busy)
    }

    /// Ends the sign-in that a refresh token belongs to, if it knows the token.
    pub(crate) async fn sign_out(&self, presented: &str) -> Result<(), Error> {
        let Some(id) = refresh::family_of(presented) else { return Ok(()) };
        let Some(entry) = self.registry().get(Table::Refresh, id).await? else { return Ok(()) };
        let family: Family = from_json("a sign-in", &entry.value)?;
        if family.knows(presented) {
            self.registry().delete(Table::Refresh, id).await?;
        }
        Ok(())
    }

    /// Removes counted tries to sign in that no longer matter.
    pub(crate) async fn forget_tries(&self) -> Result<usize, Error> {
        Ok(tries::forget(self.registry(), self.0.clock.now_ms()).await?)
    }

    /// Removes sign-ins whose time is over, and the oldest of a user who has too many; how many.
    pub(crate) async fn forget_expired(&self) -> Result<usize, Error> {
        let now_ms = self.0.clock.now_ms();
        let (mut ended, mut living) = (Vec::new(), HashMap::<_, Vec<_>>::new());
        for entry in self.registry().list(Table::Refresh).await? {
            let Ok(family) = serde_json::from_str::<Family>(&entry.value) else { continue };
            if family.expires_ms <= now_ms {
                ended.push(entry.key);
            } else {
                living.entry(family.subject).or_default().push((family.expires_ms, entry.key));
            }
        }
        for mut families in living.into_values() {
            families.sort_unstable_by(|a, b| b.cmp(a));
            ended.extend(families.into_iter().skip(SIGN_INS_MAX).map(|(_, key)| key));
        }
        for key in &ended {
            self.registry().delete(Table::Refresh, key).await?;
        }
        Ok(ended.len())
    }

    /// How far clocks may differ, seconds, and whose tokens are believed: for a front door in
    /// another process.
    pub(crate) fn door_issuers(&self) -> (u32, Vec<IssuerPart>) {
        let own = TrustedIssuer::built_in(ISSUER, AUDIENCE, KeySet::default());
        let own = IssuerPart::new(&own, self.jwks_json().as_bytes(), None, false);
        let mut issuers = vec![own.expect("our own keys are a key document")];
        issuers.extend(self.0.external.lock().iter().map(Watched::part));
        (LEEWAY_S, issuers)
    }

    /// Reads key files of external issuers that have changed; a bad one leaves the old keys.
    pub(crate) fn reload_issuers(&self) {
        for watched in self.0.external.lock().iter_mut() {
            watched.reload(&self.0.verifier);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // What is logged there belongs to the request too.
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn to_json(record: &impl serde::Serialize) -> String {
    serde_json::to_string(record).expect("records are strings and numbers")
}

fn from_json<T: serde::de::DeserializeOwned>(of: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| Error::Unreadable(of.to_owned()))
}
