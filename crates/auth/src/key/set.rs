//! Sets of keys (JWKS), and which key of a set a token means.

use serde_json::Value;

use super::{Algorithm, Error, KEYS_MAX, Key, jwk};

/// A key of a document that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place in the document, from 0.
    pub index: usize,
    /// Its id, if it has a readable one.
    pub kid: Option<String>,
    /// Why.
    pub error: Error,
}

/// The keys of one issuer. Never empty when it came from a document.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    left_out: Vec<LeftOut>,
}

impl KeySet {
    /// The public keys of a JWKS document (JSON text): all usable keys, or an error.
    ///
    /// Published sets also hold keys for other purposes. What cannot be used here, weak keys and
    /// secrets among them, is left out and listed by [`KeySet::left_out`]. `pinned` is as for
    /// [`Key::from_jwk`].
    ///
    /// # Errors
    /// [`Error::Document`], [`Error::TooMany`], [`Error::IdTwice`]; for a set of one the fault of
    /// its key; [`Error::Empty`] when no key is usable.
    pub fn from_jwks(json: &[u8], pinned: Option<Algorithm>) -> Result<Self, Error> {
        Self::read(json, pinned, false)
    }

    /// As [`KeySet::from_jwks`], and takes shared secrets too: only for a file of this machine.
    ///
    /// # Errors
    /// As for [`KeySet::from_jwks`].
    pub fn from_local_file(json: &[u8], pinned: Option<Algorithm>) -> Result<Self, Error> {
        Self::read(json, pinned, true)
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// [`Error::IdTwice`], [`Error::TooMany`].
    pub fn from_keys(keys: Vec<Key>) -> Result<Self, Error> {
        if keys.len() > KEYS_MAX {
            return Err(Error::TooMany);
        }
        for (at, key) in keys.iter().enumerate() {
            if key.kid.is_some() && keys[..at].iter().any(|other| other.kid == key.kid) {
                return Err(Error::IdTwice);
            }
        }
        Ok(Self { keys, left_out: Vec::new() })
    }

    fn read(json: &[u8], pinned: Option<Algorithm>, secrets: bool) -> Result<Self, Error> {
        let document = jwk::document(json)?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(Error::Document);
        };
        if entries.len() > KEYS_MAX {
            return Err(Error::TooMany);
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let read = entry.as_object().ok_or(Error::Document);
            match read.and_then(|members| jwk::read(members, pinned, secrets)) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    let kid = entry.get("kid").and_then(Value::as_str).map(str::to_owned);
                    left_out.push(LeftOut { index, kid, error });
                }
            }
        }
        match (&keys[..], &left_out[..]) {
            ([], [only]) => return Err(only.error),
            ([], _) => return Err(Error::Empty),
            _ => {}
        }
        Ok(Self { left_out, ..Self::from_keys(keys)? })
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys of the document that were not taken, for the log.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The key that a token with this `kid` means: the one of that id; a set of one key also
    /// serves a token, or is a key, without id. The id is compared and used for nothing else.
    #[must_use]
    pub fn find(&self, kid: Option<&str>) -> Option<&Key> {
        if let [only] = &self.keys[..] {
            let agree = kid.is_none() || only.kid.is_none() || only.kid() == kid;
            return agree.then_some(only);
        }
        let kid = kid?;
        self.keys.iter().find(|key| key.kid() == Some(kid))
    }
}

impl From<Key> for KeySet {
    fn from(key: Key) -> Self {
        Self { keys: vec![key], left_out: Vec::new() }
    }
}
