//! What we build on may be handed on under the Apache License: every package in both lock files
//! carries a licence from a short list.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Findings;
use crate::{places, run};

/// Permissive licences, without obligations beyond naming the authors.
const FINE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Data and tools that are used as they are, never linked into what we hand out under our licence,
/// by their npm name: a package, or a group of them up to the `*`.
const USED_AS_THEY_ARE: &[(&str, &str)] = &[
    // Compiles the style sheets while the pages are built.
    ("lightningcss*", "MPL-2.0"),
    // Looks for barriers in tests.
    ("axe-core", "MPL-2.0"),
    // Browser data for the build.
    ("caniuse-lite", "CC-BY-4.0"),
    // Fonts, handed on as they are.
    ("geist", "SIL OPEN FONT LICENSE"),
    // The image library of Next.js: optional, and left out of the standalone server.
    ("@img/sharp-*", "LGPL-3.0-or-later"),
];

pub(crate) fn check() -> Result<Findings> {
    let mut cargo = run::cargo();
    let text = run::ask(cargo.args(["metadata", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&text).context("reading cargo metadata")?;
    let mut findings = Findings::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        findings.extend(wrong_with("Cargo.lock", name, package["license"].as_str()));
    }
    let lock = std::fs::read_to_string(places::root().join("package-lock.json"))?;
    let lock: Value = serde_json::from_str(&lock).context("reading package-lock.json")?;
    for (path, package) in lock["packages"].as_object().into_iter().flatten() {
        let Some((_, name)) = path.rsplit_once("node_modules/") else { continue };
        if package["link"].as_bool() == Some(true) {
            continue;
        }
        findings.extend(wrong_with("package-lock.json", name, package["license"].as_str()));
    }
    Ok(findings)
}

fn wrong_with(file: &str, name: &str, licence: Option<&str>) -> Option<String> {
    let Some(licence) = licence else {
        return Some(format!("{file}: {name} names no licence"));
    };
    let known = USED_AS_THEY_ARE.iter().any(|(pattern, of)| {
        let named =
            pattern.strip_suffix('*').map_or(name == *pattern, |group| name.starts_with(group));
        named && licence.contains(of)
    });
    let fine = known || allowed(licence);
    (!fine).then(|| format!("{file}: {name} is under {licence}: see xtask/src/tidy/licences.rs"))
}

/// Whether an SPDX expression leaves us a way: any part of an OR, all parts of an AND.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    // Crates of before the standard spell it so.
    let spaced = spaced.replace(" or ", " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at) == Some(true) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut fine = all_of(words, at)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        fine |= all_of(words, at)?;
    }
    Some(fine)
}

fn all_of(words: &[&str], at: &mut usize) -> Option<bool> {
    let mut fine = one(words, at)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        fine &= one(words, at)?;
    }
    Some(fine)
}

/// One licence, or an expression in brackets; nothing if there is neither.
fn one(words: &[&str], at: &mut usize) -> Option<bool> {
    let word = words.get(*at).filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
    *at += 1;
    if *word == "(" {
        let fine = any_of(words, at)?;
        *at += 1;
        return (words.get(*at - 1) == Some(&")")).then_some(fine);
    }
    if words.get(*at) == Some(&"WITH") {
        // An exception only ever allows more.
        *at += 2;
    }
    Some(FINE.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_allowed_if_it_leaves_us_a_way() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT or Apache-2.0",
            "MIT OR LGPL-2.1-or-later",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(allowed(fine), "{fine}");
        }
        for not in ["GPL-3.0", "MIT AND GPL-3.0", "", "(MIT", "MIT OR", "MIT OR AND"] {
            assert!(!allowed(not), "{not}");
        }
    }

    #[test]
    fn a_package_without_a_licence_is_found() {
        assert!(wrong_with("a.lock", "b", None).is_some());
        assert!(wrong_with("a.lock", "lightningcss-linux-x64-gnu", Some("MPL-2.0")).is_none());
        assert!(wrong_with("a.lock", "darkcss", Some("MPL-2.0")).is_some());
    }
}
