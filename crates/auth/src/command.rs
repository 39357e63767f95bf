//! `tasktonic verify jws|jwt`: the very code of the server, from the command line. Arguments are
//! read and exit codes chosen by the command line; this says what is printed.

use serde_json::Value;

use crate::jws::{TOKEN_BYTES_MAX, verify_compact};
use crate::{Algorithm, Key, KeySet, Refusal, TrustedIssuer, Verifier, key, verify};

/// What a key file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// One key (`--jwk`).
    Jwk,
    /// A set (`--jwks`).
    Jwks,
}

/// Why a token, a key or the question itself is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The token: exit 1.
    #[error("{}", token_line(*.0))]
    Token(Refusal),
    /// The key file: exit 1.
    #[error("{}: {}", .0.name(), .0)]
    Key(key::Error),
    /// The question makes no sense: exit 2.
    #[error("usage: {0}")]
    Usage(String),
}

fn token_line(refusal: Refusal) -> String {
    format!("{}: {}: {refusal}", refusal.code().name(), refusal.name())
}

impl Refused {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Token(_) | Self::Key(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Token(refusal)
    }
}

impl From<key::Error> for Refused {
    fn from(error: key::Error) -> Self {
        Self::Key(error)
    }
}

impl From<verify::Error> for Refused {
    fn from(error: verify::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The algorithm of this name, as given to `--alg`.
///
/// # Errors
/// It is not offered.
pub fn algorithm(name: &str) -> Result<Algorithm, Refused> {
    Algorithm::from_name(name).ok_or_else(|| {
        let offered: Vec<_> = Algorithm::ALL.iter().map(|one| one.name()).collect();
        Refused::Usage(format!("{name:?} is not offered; use one of {}", offered.join(", ")))
    })
}

/// The most of standard input that has to be read, bytes: more is refused as too large anyway.
pub const INPUT_BYTES_MAX: usize = TOKEN_BYTES_MAX + 2;

/// The token in what was read: without one newline at its end, unless `exact`.
#[must_use]
pub fn trim(input: &[u8], exact: bool) -> &[u8] {
    if exact { input } else { input.strip_suffix(b"\n").unwrap_or(input) }
}

/// The keys of a file. It is a local one, so it may hold shared secrets.
///
/// # Errors
/// [`Refused::Key`].
pub fn keys(file: &[u8], form: KeyFile, alg: Option<Algorithm>) -> Result<KeySet, Refused> {
    Ok(match form {
        KeyFile::Jwk => Key::from_local_file(file, alg)?.into(),
        KeyFile::Jwks => KeySet::from_local_file(file, alg)?,
    })
}

/// `verify jws`: the payload bytes, unchanged and with nothing added.
///
/// # Errors
/// [`Refused::Token`].
pub fn verify_jws(token: &[u8], keys: &KeySet, alg: Option<Algorithm>) -> Result<Vec<u8>, Refused> {
    Ok(verify_compact(token, keys, alg)?)
}

/// What `verify jwt` asks beyond the signature.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `--iss`.
    pub issuer: String,
    /// `--aud`.
    pub audience: String,
    /// `--now`, or the clock: seconds since 1970.
    pub now_s: i64,
    /// `--leeway`, seconds.
    pub leeway_s: u32,
}

/// `verify jwt`: the claims as JSON, if the server would accept the token from such an issuer.
///
/// # Errors
/// [`Refused::Token`], [`Refused::Usage`].
pub fn verify_jwt(token: &[u8], keys: KeySet, asked: &Asked) -> Result<String, Refused> {
    let issuer = TrustedIssuer::external(&asked.issuer, &asked.audience, keys);
    let verifier = Verifier::new(vec![issuer], asked.leeway_s)?;
    let text = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
    verifier.verify(text, asked.now_s)?;
    let payload = crate::jws::Parts::of(token)?.payload;
    let claims = crate::json::object(&payload).ok_or(Refusal::Malformed)?;
    Ok(Value::Object(claims).to_string())
}
