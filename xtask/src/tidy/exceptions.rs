//! Exceptions from the rules: each has a reason, and one that is no longer needed is a finding.

use std::cell::Cell;

use anyhow::{Context, Result};

use super::Findings;
use crate::places;

const FILE: &str = "xtask/tidy-exceptions.toml";

/// The exceptions in force.
pub(crate) struct Exceptions {
    entries: Vec<Entry>,
}

struct Entry {
    rule: String,
    path: String,
    /// The word, for a rule about words.
    word: String,
    used: Cell<bool>,
}

/// Reads them.
///
/// # Errors
/// When the file is not as it says at its own top, or an entry lacks a reason.
pub(crate) fn read() -> Result<Exceptions> {
    let text = std::fs::read_to_string(places::root().join(FILE)).context(FILE)?;
    let table: toml::Table = text.parse().context(FILE)?;
    let mut entries = Vec::new();
    for (rule, list) in &table {
        for entry in list.as_array().with_context(|| format!("{FILE}: {rule} is not a list"))? {
            let field = |name: &str| entry.get(name).and_then(toml::Value::as_str);
            let path = field("path").with_context(|| format!("{FILE}: {rule} without a path"))?;
            field("reason")
                .filter(|reason| reason.len() > 10)
                .with_context(|| format!("{FILE}: {rule} for {path} without a reason"))?;
            entries.push(Entry {
                rule: rule.clone(),
                path: path.to_owned(),
                word: field("word").unwrap_or_default().to_owned(),
                used: Cell::new(false),
            });
        }
    }
    Ok(Exceptions { entries })
}

impl Exceptions {
    /// Whether `rule` lets `path` off (for `word`, if the rule is about words). A path that ends
    /// in `/` covers what is below it.
    pub(crate) fn has(&self, rule: &str, path: &str, word: &str) -> bool {
        let fits = |entry: &&Entry| {
            let below = entry.path.ends_with('/') && path.starts_with(&entry.path);
            entry.rule == rule && entry.word == word && (entry.path == path || below)
        };
        let found = self.entries.iter().find(fits);
        if let Some(entry) = found {
            entry.used.set(true);
        }
        found.is_some()
    }

    /// Entries that no rule has asked for.
    pub(crate) fn unused(&self) -> Findings {
        self.entries
            .iter()
            .filter(|entry| !entry.used.get())
            .map(|entry| {
                format!(
                    "{FILE}: {} for {} {} is not needed: take it out",
                    entry.rule, entry.path, entry.word
                )
            })
            .collect()
    }
}
