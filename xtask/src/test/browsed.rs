//! Which test files that drive a browser run in which form of the product: read by the test round,
//! and by the generator for its table of what is proved where.

/// What is tested in the full form only, or also over a cluster.
pub(crate) const FLEET_ONLY: &[&str] = &["architecture", "pages", "tap"];
/// What is tested in the full form beside that; what is left out shows nothing there that it does
/// not show in one process.
pub(crate) const FULL: &[&str] = &[
    "isolation",
    "large-table",
    "photos",
    "server-killed",
    "sign-in",
    "two-users",
    "verbs",
    "worker-lost",
];
/// What is tested over a cluster.
pub(crate) const CLUSTER: &[&str] =
    &["architecture", "isolation", "photos", "server-killed", "two-users", "worker-lost"];

/// Whether the file of this name is tested in one process.
pub(crate) fn in_one(name: &str) -> bool {
    !FLEET_ONLY.contains(&name)
}

/// Whether it is tested with Redis, nginx and several of each.
pub(crate) fn in_full(name: &str) -> bool {
    FLEET_ONLY.contains(&name) || FULL.contains(&name)
}

/// Whether it is tested over a cluster.
pub(crate) fn in_cluster(name: &str) -> bool {
    CLUSTER.contains(&name)
}
