//! Built-in accounts: their record, their passwords, and the rules for both. Never knows where
//! records are kept. Hashing takes tens of milliseconds and 19 MiB on purpose: call it off the
//! async threads, a few at a time.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use serde::{Deserialize, Serialize};

use crate::{Role, random};

/// Format of [`Account`] records.
pub const ACCOUNT_V: u32 = 1;
/// Longest account name, characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Shortest password, bytes.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Longest password, bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Memory of one hash, KiB.
pub const HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
pub const HASH_PASSES: u32 = 2;
/// Lanes of that memory.
pub const HASH_LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// A hash that no password fits, with the cost of every other: checked for unknown names, so that
/// they take as long as known ones.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why an account or a password cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that could be mistaken or misread.
    #[error(
        "an account name is 1 to 64 characters of a-z 0-9 . _ @ + -, and begins with a-z or 0-9"
    )]
    Name,
    /// Shorter than [`PASSWORD_BYTES_MIN`].
    #[error("a password has at least 8 characters; choose a longer one")]
    PasswordShort,
    /// Longer than [`PASSWORD_BYTES_MAX`].
    #[error("a password has at most 1024 bytes; choose a shorter one")]
    PasswordLong,
    /// Among the first that anybody tries, or the account's own name.
    #[error("this password is the first that anybody would try; choose another one")]
    PasswordObvious,
}

/// One person or program that signs in with a password, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Format of the record: [`ACCOUNT_V`].
    pub v: u32,
    /// What they type to sign in; see [`account_name`]. The key of the record.
    pub name: String,
    /// `sub` of their tokens. Never changes, whatever becomes of the name.
    pub subject: String,
    /// What kind of caller.
    pub role: Role,
    /// A PHC string (argon2id).
    pub password_hash: String,
    /// When it was made, ms since 1970.
    pub created_ms: i64,
    /// Whether signing in is refused.
    #[serde(default)]
    pub disabled: bool,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// A new account whose subject is its name.
    ///
    /// # Errors
    /// The name or the password breaks a rule.
    pub fn new(name: &str, role: Role, password: &str, now_ms: i64) -> Result<Self, Error> {
        let name = account_name(name).ok_or(Error::Name)?;
        let mut account = Self {
            v: ACCOUNT_V,
            subject: name.clone(),
            name,
            role,
            password_hash: String::new(),
            created_ms: now_ms,
            disabled: false,
        };
        account.set_password(password)?;
        Ok(account)
    }

    /// Changes the password. Revoke the account's refresh families with it.
    ///
    /// # Errors
    /// The password breaks a rule.
    pub fn set_password(&mut self, password: &str) -> Result<(), Error> {
        if password.trim().to_ascii_lowercase() == self.name {
            return Err(Error::PasswordObvious);
        }
        self.password_hash = hash_password(password)?;
        Ok(())
    }
}

/// The one spelling of an account name: lower case, without spaces around it. Nothing for a text
/// that can be no account's name.
#[must_use]
pub fn account_name(typed: &str) -> Option<String> {
    let name = typed.trim().to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = name.len() <= NAME_CHARS_MAX
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b"._@+-".contains(&byte));
    fits.then_some(name)
}

/// Whether `password` may be one.
///
/// # Errors
/// Too short, too long, or one that is guessed first.
pub fn check_policy(password: &str) -> Result<(), Error> {
    if password.len() < PASSWORD_BYTES_MIN {
        return Err(Error::PasswordShort);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::PasswordLong);
    }
    let lower = password.to_ascii_lowercase();
    let mut chars = lower.chars();
    let first = chars.next();
    let all_the_same = chars.all(|char| Some(char) == first);
    if all_the_same || OBVIOUS.contains(&lower.as_str()) {
        return Err(Error::PasswordObvious);
    }
    Ok(())
}

/// The passwords of eight characters and more that head every list of stolen ones.
const OBVIOUS: &[&str] = &[
    "password",
    "password1",
    "password123",
    "passw0rd",
    "p@ssw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "123123123",
    "87654321",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "abcd1234",
    "abc12345",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "welcome1",
    "letmein1",
    "changeme",
    "admin123",
    "administrator",
    "tasktonic",
];

/// The PHC string of a password: argon2id with a fresh salt.
///
/// # Errors
/// The password breaks a rule of [`check_policy`].
pub fn hash_password(password: &str) -> Result<String, Error> {
    check_policy(password)?;
    let salt = random::bytes::<SALT_BYTES>();
    let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.expect("the parameters are constant and good").to_string())
}

/// Whether the password fits the PHC string. A broken record fits nothing.
#[must_use]
pub fn check_password(password: &str, hash: &str) -> bool {
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    hasher().verify_password(password.as_bytes(), &parsed).is_ok()
}

/// The account, if there is one, may sign in, and the password is its own. Costs the same in
/// every case, and does not say which of them it was.
#[must_use]
pub fn sign_in<'a>(account: Option<&'a Account>, password: &str) -> Option<&'a Account> {
    let hash = account.map_or(NOBODY, |account| &account.password_hash);
    let fits = check_password(password, hash);
    account.filter(|account| fits && !account.disabled)
}

/// Whether the hash was made with other costs than today's: hash the password anew at the next
/// sign-in.
#[must_use]
pub fn is_outdated(hash: &str) -> bool {
    let cost = format!("$argon2id$v=19$m={HASH_MEMORY_KIB},t={HASH_PASSES},p={HASH_LANES}$");
    !hash.starts_with(&cost)
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(HASH_MEMORY_KIB, HASH_PASSES, HASH_LANES, None);
    let params = params.expect("the parameters are constant and good");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Letters and digits that nobody confuses when reading them aloud.
const READABLE: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";
/// Groups of five characters in a random password: 25 characters of 5 bits each.
const GROUPS: usize = 5;

/// A password of 125 random bits in five groups, such as `k3m9x-…`.
#[must_use]
pub fn random_password() -> String {
    let random = random::bytes::<{ GROUPS * 5 }>();
    let groups: Vec<String> = random
        .chunks(5)
        .map(|group| {
            group.iter().map(|byte| char::from(READABLE[usize::from(byte % 32)])).collect()
        })
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(check_password("correct horse", &hash));
        assert!(!check_password("correct horsf", &hash));
        assert!(!check_password("", &hash));
        assert!(!check_password("correct horse", ""));
        assert!(!check_password("correct horse", "$argon2id$v=19$m=19456"));
        assert_ne!(hash, hash_password("correct horse").unwrap(), "a fresh salt each time");
        assert!(!is_outdated(&hash));
        assert!(is_outdated("$argon2id$v=19$m=4096,t=2,p=1$AAAA$AAAA"));
    }

    #[test]
    fn nobodys_hash_is_well_formed_and_costs_what_every_hash_costs() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&parsed).unwrap().m_cost(), HASH_MEMORY_KIB);
        assert!(!is_outdated(NOBODY));
        assert_eq!(parsed.salt.unwrap().len(), SALT_BYTES);
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[test]
    fn only_an_enabled_account_with_its_own_password_signs_in() {
        let mut account = Account::new(" Ada@Example ", Role::Admin, "correct horse", 5).unwrap();
        assert_eq!((&*account.name, &*account.subject), ("ada@example", "ada@example"));
        assert!(sign_in(Some(&account), "correct horse").is_some());
        assert!(sign_in(Some(&account), "wrong").is_none());
        assert!(sign_in(None, "correct horse").is_none());
        account.disabled = true;
        assert!(sign_in(Some(&account), "correct horse").is_none());
        let json = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        assert!(!format!("{account:?}").contains("argon2"));
    }

    #[test]
    fn the_policy_names_what_is_wrong() {
        assert_eq!(check_policy("short12"), Err(Error::PasswordShort));
        assert_eq!(check_policy("eight888"), Ok(()));
        assert_eq!(check_policy(&"ab".repeat(512)), Ok(()));
        assert_eq!(check_policy(&"ab".repeat(513)), Err(Error::PasswordLong));
        for obvious in ["Password", "aaaaaaaaaa", "12345678"] {
            assert_eq!(check_policy(obvious), Err(Error::PasswordObvious), "{obvious}");
        }
        let own = Account::new("longname", Role::User, "LongName", 0);
        assert_eq!(own.unwrap_err(), Error::PasswordObvious);
        for bad in ["", " ", "a b", "ä", "a/b", ".a", "a\n", "a\0", &"a".repeat(65)] {
            let name = account_name(bad);
            assert!(name.is_none() || bad.trim() != bad, "{bad:?} gave {name:?}");
        }
    }

    #[test]
    fn random_passwords_are_readable_distinct_and_pass_the_policy() {
        let all: std::collections::HashSet<_> = (0..100).map(|_| random_password()).collect();
        assert_eq!(all.len(), 100);
        for password in all {
            assert_eq!(password.len(), 29, "{password}");
            assert!(password.bytes().all(|byte| byte == b'-' || READABLE.contains(&byte)));
            assert_eq!(check_policy(&password), Ok(()));
        }
    }
}
