//! Remembers verified tokens, so that a browser's hundredth request costs a hash and not an
//! elliptic curve. Only good verdicts are kept: a flood of forgeries leaves no trace.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use parking_lot::Mutex;

use super::Known;

/// SHA-256 of the generation of the keys and the whole token.
pub(super) type Name = [u8; SHA256_OUTPUT_LEN];

type Remembered = HashMap<Name, Arc<Known>, BuildHasherDefault<Digested>>;

/// A name is a digest already, of tokens that were good: its first bytes are as good as any hash
/// of it.
#[derive(Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((first, _)) = bytes.split_first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // The length comes first, and is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Two halves: when the young one is full the old one is dropped, so that what is used stays and
/// nothing has to be counted.
pub(super) struct Cache {
    halves: Mutex<Halves>,
    half_max: usize,
}

#[derive(Default)]
struct Halves {
    young: Remembered,
    old: Remembered,
}

impl Halves {
    fn put(&mut self, name: Name, known: Arc<Known>, half_max: usize) {
        if self.young.len() >= half_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, known);
    }
}

impl Cache {
    pub(super) fn new(half_max: usize) -> Self {
        Self { halves: Mutex::default(), half_max }
    }

    pub(super) fn name(token: &str, generation: u64) -> Name {
        let mut hash = Context::new(&SHA256);
        hash.update(&generation.to_be_bytes());
        hash.update(token.as_bytes());
        let mut name = [0; SHA256_OUTPUT_LEN];
        name.copy_from_slice(hash.finish().as_ref());
        name
    }

    pub(super) fn get(&self, name: &Name) -> Option<Arc<Known>> {
        let mut halves = self.halves.lock();
        if let Some(known) = halves.young.get(name) {
            return Some(Arc::clone(known));
        }
        let known = halves.old.remove(name)?;
        halves.put(*name, Arc::clone(&known), self.half_max);
        Some(known)
    }

    pub(super) fn put(&self, name: Name, known: Known) {
        self.halves.lock().put(name, Arc::new(known), self.half_max);
    }

    pub(super) fn clear(&self) {
        *self.halves.lock() = Halves::default();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let halves = self.halves.lock();
        halves.young.len() + halves.old.len()
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::verify::{Claims, claims::Times};

    fn known(subject: &str) -> Known {
        let claims = Claims {
            subject: subject.to_owned(),
            user: tasktonic_core::UserId::encode(subject),
            issuer: "i".to_owned(),
            role: Role::User,
            name: None,
            scopes: Vec::new(),
            issued_s: None,
            expires_s: 1,
            token_id: None,
        };
        Known {
            claims: Arc::new(claims),
            times: Times { expires_s: 1, starts_s: None, issued_s: None },
        }
    }

    #[test]
    fn the_cache_stays_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(10);
        let used = Cache::name("used", 0);
        cache.put(used, known("used"));
        for n in 0..1_000 {
            cache.put(Cache::name(&n.to_string(), 0), known("other"));
            assert_eq!(cache.get(&used).unwrap().claims.subject, "used", "after {n}");
            assert!(cache.len() <= 20, "{} tokens", cache.len());
        }
        cache.clear();
        assert!(cache.get(&used).is_none());
    }

    #[test]
    fn another_generation_is_another_name() {
        assert_ne!(Cache::name("t", 0), Cache::name("t", 1));
    }
}
