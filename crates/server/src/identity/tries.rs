//! Tries to sign in, per account. They are counted in the registry, so that several servers keep
//! one count: whoever spreads guesses over them gets no more of them. Names are never kept; each
//! falls on one of a fixed number of places by a keyed hash, so that neither the table grows with
//! the names that are tried nor can anybody choose where a name falls.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tasktonic_auth::throttle::Rate;
use tasktonic_store::{Error as StoreError, Expect, Registry, Table};

use super::{CHANGES_MAX, Denied, to_json};

/// A place whose debt has been over for this long is forgotten, ms. Long enough that nobody counts
/// on it at that moment.
const FORGET_AFTER_MS: i64 = 600_000;

/// One place, as it stands in the registry.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// When it will be without debt again, ms.
    until_ms: i64,
}

/// Counts tries.
pub(super) struct Tries {
    key: [u8; 32],
    rate: Rate,
}

impl Tries {
    /// With a secret that all servers share.
    pub(super) fn new(key: [u8; 32], rate: Rate) -> Self {
        Self { key, rate }
    }

    /// One of 65,536 places. Names are compared as accounts are.
    fn place(&self, name: &str) -> String {
        let name = name.trim().to_ascii_lowercase();
        let hash = Sha256::new().chain_update(self.key).chain_update(name).finalize();
        format!("{:02x}{:02x}", hash[0], hash[1])
    }

    /// Counts one try; call it before the password is looked at. A refused try counts for nothing.
    pub(super) async fn count(
        &self,
        registry: &dyn Registry,
        name: &str,
        now_ms: i64,
    ) -> Result<(), Denied> {
        let place = self.place(name);
        for _ in 0..CHANGES_MAX {
            let entry = registry.get(Table::SignIns, &place).await?;
            // One that cannot be read is as good as none.
            let known = entry.as_ref().and_then(|entry| serde_json::from_str(&entry.value).ok());
            let debt = known.map(|Place { until_ms }| until_ms);
            let until_ms = self.rate.next(debt, now_ms).map_err(Denied::Throttled)?;
            let expect = entry.map_or(Expect::Absent, |entry| Expect::Version(entry.version));
            let put = registry.put(Table::SignIns, &place, to_json(&Place { until_ms }), expect);
            if put.await?.is_some() {
                return Ok(());
            }
        }
        Err(Denied::Busy)
    }

    /// Forgets the tries for `name`: the password was right.
    pub(super) async fn forgive(
        &self,
        registry: &dyn Registry,
        name: &str,
    ) -> Result<(), StoreError> {
        registry.delete(Table::SignIns, &self.place(name)).await.map(drop)
    }
}

/// Removes places whose debt has long been over; how many.
pub(super) async fn forget(registry: &dyn Registry, now_ms: i64) -> Result<usize, StoreError> {
    let mut count = 0;
    for entry in registry.list(Table::SignIns).await? {
        let until_ms = serde_json::from_str(&entry.value).map_or(0, |Place { until_ms }| until_ms);
        if until_ms.saturating_add(FORGET_AFTER_MS) < now_ms {
            registry.delete(Table::SignIns, &entry.key).await?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tasktonic_auth::throttle::{ACCOUNT_BURST, ACCOUNT_EVERY_MS, Throttle};
    use tasktonic_store::Store as _;
    use tasktonic_store::clock::Clock;
    use tasktonic_store::model::ModelStore;

    use super::*;

    fn tries() -> Tries {
        Tries::new([7; 32], Throttle::ACCOUNT)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_that_count_at_once_let_no_more_through_than_one() {
        let store = Arc::new(ModelStore::new(Clock::system()));
        let mut servers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            servers.spawn(async move {
                let (tries, mut passed) = (tries(), 0);
                for _ in 0..10 {
                    match tries.count(store.registry(), " Ada", 1_000).await {
                        Ok(()) => passed += 1,
                        Err(Denied::Throttled(wait)) => assert!(wait.0 <= ACCOUNT_EVERY_MS),
                        Err(other) => panic!("{other:?}"),
                    }
                    tokio::task::yield_now().await;
                }
                passed
            });
        }
        let passed: u32 = servers.join_all().await.into_iter().sum();
        assert_eq!(passed, ACCOUNT_BURST);
        let one = tries();
        one.count(store.registry(), "ada", 1_000 + ACCOUNT_EVERY_MS).await.expect("waiting helps");
        one.forgive(store.registry(), "ADA").await.unwrap();
        one.count(store.registry(), "ada", 1_000).await.expect("the password was right");
    }

    #[tokio::test]
    async fn no_flood_of_names_fills_the_table_and_old_debts_are_forgotten() {
        let (store, tries) = (ModelStore::new(Clock::system()), tries());
        let places: std::collections::BTreeSet<String> =
            (0..200_000).map(|n| tries.place(&format!("name{n}"))).collect();
        assert!(places.len() <= 65_536 && places.len() > 60_000, "{}", places.len());
        tries.count(store.registry(), "ada", 1_000).await.unwrap();
        tries.count(store.registry(), "bob", 900_000).await.unwrap();
        assert_eq!(forget(store.registry(), 900_000).await.unwrap(), 1);
        let left = store.registry().list(Table::SignIns).await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(!left[0].value.contains("bob") && !left[0].key.contains("bob"));
    }
}
