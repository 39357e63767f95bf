//! The workspace as cargo sees it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// One package of ours.
pub(crate) struct Package {
    /// As in its manifest, e.g. `tasktonic-core`.
    pub(crate) name: String,
    /// Names of its dependencies and their kind: `None` normal, else `dev` or `build`.
    pub(crate) dependencies: Vec<(String, Option<String>)>,
    /// Its features by name.
    pub(crate) features: Vec<String>,
}

/// The packages of the workspace.
///
/// # Errors
/// When cargo cannot read the manifests.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let mut cargo = run::cargo();
    let text = run::ask(cargo.args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text).context("reading cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    packages.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let dependencies = value["dependencies"].as_array().context("no dependencies")?;
    Ok(Package {
        name: text(&value["name"]).context("a package without a name")?,
        dependencies: dependencies
            .iter()
            .filter_map(|dependency| Some((text(&dependency["name"])?, text(&dependency["kind"]))))
            .collect(),
        features: value["features"]
            .as_object()
            .map(|f| f.keys().cloned().collect())
            .unwrap_or_default(),
    })
}

/// The one set of features that everything in a test round is built with, so that clippy, the
/// tests and the end-to-end run share what cargo has built: `--features` and its value.
///
/// # Errors
/// When cargo cannot read the manifests.
pub(crate) fn test_features() -> Result<[String; 2]> {
    let mut features = vec!["xtask/gen".to_owned()];
    for package in packages()? {
        if package.features.iter().any(|feature| feature == "test-hooks") {
            features.push(format!("{}/test-hooks", package.name));
        }
    }
    Ok(["--features".to_owned(), features.join(",")])
}
