//! Which crate may depend on which. The absences in this table are the architecture.

use anyhow::Result;

use super::Findings;
use crate::metadata::{self, Package};

/// A new arrow is a design decision: add it here, in a commit of its own, and say why.
/// Names without their prefix `tasktonic-`.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("schedule", &[]),
    ("protocol", &["core"]),
    ("store", &["core", "protocol"]),
    ("store-embedded", &["core", "protocol", "store"]),
    ("store-redis", &["core", "protocol", "store"]),
    ("auth", &["core", "protocol"]),
    ("auth-ffi", &["core", "protocol", "auth"]),
    ("gateway", &[]),
    ("files", &["core", "protocol"]),
    ("worker", &["core", "protocol", "store", "files"]),
    ("bulk", &["core", "protocol", "store", "worker"]),
    ("handlers", &["core", "protocol", "files", "worker"]),
    ("client", &["core", "protocol", "store", "files"]),
    ("server", &["core", "schedule", "protocol", "store", "auth", "files"]),
    (
        "cli",
        &[
            "core",
            "protocol",
            "store",
            "store-embedded",
            "store-redis",
            "auth",
            "gateway",
            "files",
            "worker",
            "bulk",
            "handlers",
            "client",
            "server",
        ],
    ),
    ("bench", &["core", "protocol", "store", "client", "gateway"]),
    ("instructions", &["core", "protocol", "auth"]),
    ("testkit", &["core", "protocol", "store", "gateway"]),
    ("each-store", &["store", "store-embedded", "store-redis", "testkit"]),
    ("chaos", &["protocol", "client", "testkit"]),
    ("xtask", &["core", "protocol"]),
];

/// What tests may use on top: the test kit everywhere, a store to run against or each of them, and
/// for the tests of a crate whatever stands on the same floor of the table or below.
const TESTS_MAY_DEPEND: &[(&str, &[&str])] = &[
    ("worker", &["each-store"]),
    ("bulk", &["each-store"]),
    ("handlers", &["store", "store-embedded"]),
    ("client", &["server", "store-embedded", "auth", "worker"]),
    ("server", &["each-store", "store-embedded", "worker", "client"]),
    ("auth-ffi", &["gateway", "server", "store", "files"]),
    ("cli", &["auth-ffi"]),
];

pub(crate) fn check() -> Result<Findings> {
    Ok(check_packages(&metadata::packages()?))
}

fn check_packages(packages: &[Package]) -> Findings {
    let mut findings = Findings::new();
    for package in packages {
        let name = short(&package.name);
        let Some((_, allowed)) = MAY_DEPEND.iter().find(|(row, _)| *row == name) else {
            findings.push(format!(
                "{}: not in the table of crates: add it to xtask/src/tidy/arrows.rs and ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        for (dependency, kind) in &package.dependencies {
            let target = short(dependency);
            if !packages.iter().any(|p| p.name == *dependency) || target == name {
                continue;
            }
            let for_tests = kind.as_deref() == Some("dev")
                && (target == "testkit"
                    || TESTS_MAY_DEPEND
                        .iter()
                        .any(|(row, more)| *row == name && more.contains(&target)));
            if !allowed.contains(&target) && !for_tests {
                findings.push(format!(
                    "{name} must not depend on {target}: {name} may know {}",
                    if allowed.is_empty() { "nothing of ours".into() } else { allowed.join(", ") }
                ));
            }
        }
    }
    findings
}

fn short(name: &str) -> &str {
    name.strip_prefix("tasktonic-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), kind.map(str::to_owned)))
                .collect(),
            features: Vec::new(),
        }
    }

    #[test]
    fn an_undeclared_arrow_and_an_unlisted_crate_are_found() {
        let packages = [
            package("tasktonic-core", &[("tasktonic-store", None)]),
            package(
                "tasktonic-store",
                &[("tasktonic-core", None), ("tasktonic-testkit", Some("dev"))],
            ),
            package("tasktonic-testkit", &[]),
            package("tasktonic-novelty", &[]),
        ];
        let findings = check_packages(&packages);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("core must not depend on store"));
        assert!(findings[1].contains("tasktonic-novelty"));
    }

    #[test]
    fn the_table_has_no_cycle() {
        for (at, (name, allowed)) in MAY_DEPEND.iter().enumerate() {
            for target in *allowed {
                let row = MAY_DEPEND.iter().position(|(row, _)| row == target).unwrap();
                assert!(row < at, "{name} points at {target}, which stands below it");
            }
        }
    }
}
