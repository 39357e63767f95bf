//! Issuers that are trusted beside our own: their keys come from files, which somebody else keeps
//! fresh. Nothing is fetched here.

use std::path::PathBuf;

use tasktonic_auth::door::IssuerPart;
use tasktonic_auth::{Algorithm, KeySet, Role, TrustedIssuer, Verifier};

use super::Error;

/// Longest key file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// An issuer whose keys are in a file.
#[derive(Debug, Clone)]
pub struct IssuerFile {
    /// As in `iss`, compared byte for byte.
    pub issuer: String,
    /// Must be among `aud`.
    pub audience: String,
    /// A JWK set (RFC 7517). Read again when it changes; a bad one leaves the old keys.
    pub jwks: PathBuf,
    /// The algorithm of keys that name none.
    pub algorithm: Option<Algorithm>,
    /// Whether the file may hold shared secrets (`kty: oct`).
    pub secrets: bool,
    /// The claim that holds the caller's groups.
    pub role_claim: Option<String>,
    /// What its values mean; everybody else is a user.
    pub roles: Vec<(String, Role)>,
}

/// A key file and what it was when it was read.
#[derive(Debug)]
pub(super) struct Watched {
    file: IssuerFile,
    seen: Seen,
    /// The issuer with the keys that are in use, for front doors in other processes.
    part: IssuerPart,
}

/// Time of change and length: both must be the same for a file to be the same.
type Seen = (Option<std::time::SystemTime>, u64);

impl Watched {
    /// Reads the file for the first time: here a bad one is an error.
    pub(super) fn open(file: IssuerFile) -> Result<(TrustedIssuer, Self), Error> {
        let Read { issuer, part, seen } = read(&file).map_err(Error::Keys)?;
        Ok((issuer, Self { file, seen, part }))
    }

    /// The issuer with the keys that are in use.
    pub(super) fn part(&self) -> IssuerPart {
        self.part.clone()
    }

    /// Takes new keys over if the file has changed and is good.
    pub(super) fn reload(&mut self, verifier: &Verifier) {
        match seen(&self.file) {
            Ok(now) if now == self.seen => return,
            Ok(now) => self.seen = now,
            // Between removal and renaming there is no file for a moment.
            Err(_) => return,
        }
        let issuer = &self.file.issuer;
        match read(&self.file) {
            Ok(read) => {
                self.seen = read.seen;
                match verifier.replace_keys(issuer, read.issuer.keys) {
                    Ok(()) => {
                        self.part = read.part;
                        tracing::info!(%issuer, "took over the changed keys");
                    }
                    Err(error) => tracing::error!(%issuer, %error, "kept the old keys"),
                }
            }
            Err(error) => tracing::error!(%issuer, %error, "kept the old keys"),
        }
    }
}

fn seen(file: &IssuerFile) -> Result<Seen, String> {
    let path = file.jwks.display();
    let known = std::fs::metadata(&file.jwks)
        .map_err(|error| format!("the key file {path} cannot be read: {error}"))?;
    if known.len() > FILE_BYTES_MAX {
        return Err(format!("the key file {path} is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok((known.modified().ok(), known.len()))
}

/// What a key file says.
struct Read {
    issuer: TrustedIssuer,
    part: IssuerPart,
    seen: Seen,
}

fn read(file: &IssuerFile) -> Result<Read, String> {
    let path = file.jwks.display();
    // Before the content: a change while it is read is seen the next time.
    let seen = seen(file)?;
    let json = std::fs::read(&file.jwks)
        .map_err(|error| format!("the key file {path} cannot be read: {error}"))?;
    let keys = if file.secrets {
        KeySet::from_local_file(&json, file.algorithm)
    } else {
        KeySet::from_jwks(&json, file.algorithm)
    };
    let keys = keys.map_err(|error| format!("the key file {path}: {error}"))?;
    for left in keys.left_out() {
        let (kid, error) = (left.kid.as_deref().unwrap_or("-"), left.error);
        tracing::warn!(%path, index = left.index, kid, %error, "a key of the file is not used");
    }
    let issuer = TrustedIssuer {
        role_claim: file.role_claim.clone(),
        roles: file.roles.clone(),
        ..TrustedIssuer::external(&file.issuer, &file.audience, keys)
    };
    let part = IssuerPart::new(&issuer, &json, file.algorithm, file.secrets)
        .map_err(|error| format!("the key file {path}: {error}"))?;
    Ok(Read { issuer, part, seen })
}
