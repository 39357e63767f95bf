//! What is not a task.

use super::scene::Scene;
use crate::{Expect, Table};

/// Records change only from the version their writer saw.
pub async fn registry_records_are_changed_by_compare_and_set(scene: Scene) {
    let registry = scene.store.registry();
    let put = |value: &'static str, expect| {
        registry.put(Table::Accounts, "ana", value.to_owned(), expect)
    };
    assert_eq!(put("1", Expect::Version(1)).await.unwrap(), None);
    assert_eq!(put("1", Expect::Absent).await.unwrap(), Some(1));
    assert_eq!(put("2", Expect::Absent).await.unwrap(), None);
    assert_eq!(put("2", Expect::Version(1)).await.unwrap(), Some(2));
    assert_eq!(put("3", Expect::Version(1)).await.unwrap(), None);
    assert_eq!(put("3", Expect::Any).await.unwrap(), Some(3));
    let entry = registry.get(Table::Accounts, "ana").await.unwrap().unwrap();
    assert_eq!((entry.version, entry.value.as_str()), (3, "3"));
    assert_eq!(registry.get(Table::Kinds, "ana").await.unwrap(), None, "tables are apart");
    registry.put(Table::Accounts, "ben", "x".into(), Expect::Any).await.unwrap();
    let keys: Vec<_> =
        registry.list(Table::Accounts).await.unwrap().into_iter().map(|e| e.key).collect();
    assert_eq!(keys, ["ana", "ben"]);
    assert!(registry.delete(Table::Accounts, "ana").await.unwrap());
    assert!(!registry.delete(Table::Accounts, "ana").await.unwrap());
    assert_eq!(registry.get(Table::Accounts, "ana").await.unwrap(), None);
}
