//! What a part must never name.

use std::path::Path;

use super::{Findings, rust_text};
use crate::sources;

struct Absence {
    folder: &'static str,
    never: &'static [&'static str],
    why: &'static str,
}

/// Found anywhere in code (not in comments) or in a manifest, as a whole word in any case.
const ABSENCES: &[Absence] = &[
    Absence {
        folder: "crates/core/",
        never: &[
            "serde",
            "serde_json",
            "tokio",
            "async",
            "await",
            "systemtime",
            "instant",
            "rand",
            "tracing",
        ],
        why: "core decides; it has no clock, randomness, I/O, logger or async",
    },
    Absence {
        folder: "crates/worker/",
        never: &["redis", "sqlite", "rusqlite"],
        why: "a worker knows a Store, not which one",
    },
    Absence {
        folder: "crates/server/",
        never: &["redis", "sqlite", "rusqlite"],
        why: "the server knows a Store, not which one",
    },
    Absence {
        folder: "crates/store",
        never: &["axum", "hyper", "reqwest", "http"],
        why: "a store never names HTTP",
    },
    Absence {
        folder: "web/",
        never: &["redis", "ioredis", "sqlite"],
        why: "the pages know the API only",
    },
    Absence {
        folder: "sdk/",
        never: &["redis", "ioredis", "sqlite"],
        why: "a client knows the API only",
    },
];

pub(crate) fn check() -> Findings {
    let mut findings = Findings::new();
    for file in sources::all() {
        let path = file.to_string_lossy().into_owned();
        for absence in ABSENCES.iter().filter(|absence| path.starts_with(absence.folder)) {
            if let Some(text) = code(&file) {
                findings.extend(in_text(absence, &path, &text));
            }
        }
    }
    findings
}

/// The code of a file of ours that such a rule is about.
fn code(file: &Path) -> Option<String> {
    let manifest =
        file.file_name().is_some_and(|name| name == "Cargo.toml" || name == "package.json");
    match file.extension()?.to_str()? {
        "rs" => sources::text(file).map(|text| rust_text::without_comments(&text)),
        "ts" | "tsx" | "mjs" | "js" | "lua" => sources::text(file),
        _ if manifest => sources::text(file),
        _ => None,
    }
}

fn in_text(absence: &Absence, path: &str, text: &str) -> Findings {
    let mut findings = Findings::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(word) = words.find(|word| absence.never.contains(&word.to_lowercase().as_str()))
        {
            findings.push(format!("{path}:{}: names {word}: {}", number + 1, absence.why));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_name_is_found_as_a_word_and_only_so() {
        let absence = Absence { folder: "", never: &["redis"], why: "" };
        assert_eq!(
            in_text(&absence, "a.rs", "let redistribution = 1;\nuse redis::Client;"),
            ["a.rs:2: names redis: "]
        );
    }
}
