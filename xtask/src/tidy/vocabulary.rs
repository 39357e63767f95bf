//! One noun per idea (GLOSSARY.md). A second word for the same thing is a finding, in code as in
//! prose.

use super::Findings;
use super::exceptions::Exceptions;
use crate::sources;

struct Word {
    /// Words, or one phrase, in lower case.
    found: &'static [&'static str],
    say: &'static str,
    /// Only under these folders; everywhere if there are none.
    within: &'static [&'static str],
}

const WORDS: &[Word] = &[
    Word { found: &["job", "jobs"], say: "task", within: &[] },
    Word { found: &["tenant", "tenants"], say: "user", within: &[] },
    Word { found: &["enqueue", "enqueues", "enqueued", "enqueuing"], say: "submit", within: &[] },
    Word { found: &["dequeue", "dequeues", "dequeued"], say: "claim", within: &[] },
    Word { found: &["retries"], say: "attempts", within: &[] },
    Word { found: &["canceled", "canceling"], say: "cancelled", within: &[] },
    Word { found: &["messages"], say: "events", within: &["crates/core/", "crates/store"] },
];

/// Promises that nobody can keep, in what people read: documents and pages.
const PHRASES: &[(&str, &str)] = &[
    ("exactly once", "say at-least-once, or whose outcome is recorded once"),
    ("exactly-once", "say at-least-once, or whose outcome is recorded once"),
    ("guaranteed order", "say which order, and when it holds"),
    ("never loses", "say what survives what, and name the test"),
    ("unhackable", "say which attack is refused, and name the test"),
];

/// Where the words stand because they are being talked about.
const ABOUT_WORDS: &[&str] = &[
    "GLOSSARY.md",
    "STYLE.md",
    "docs/compare/",
    "xtask/src/tidy/vocabulary.rs",
    "xtask/tidy-exceptions.toml",
];

pub(crate) fn check(exceptions: &Exceptions) -> Findings {
    let mut findings = Findings::new();
    for file in sources::all() {
        let path = file.to_string_lossy().into_owned();
        let ours = file.extension().is_some_and(|ext| {
            ["rs", "ts", "tsx", "mjs", "lua", "md", "toml"].iter().any(|e| ext == *e)
        });
        if !ours || ABOUT_WORDS.iter().any(|known| path.starts_with(known)) {
            continue;
        }
        let Some(text) = sources::text(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (word, say) in in_line(&path, line) {
                if !exceptions.has("words", &path, word) {
                    findings.push(format!("{path}:{}: \"{word}\": {say}", number + 1));
                }
            }
        }
    }
    findings
}

fn in_line(path: &str, line: &str) -> Vec<(&'static str, String)> {
    let spoken = words(line);
    let mut found = Vec::new();
    for rule in
        WORDS.iter().filter(|r| r.within.is_empty() || r.within.iter().any(|w| path.starts_with(w)))
    {
        for word in rule.found.iter().filter(|word| spoken.iter().any(|spoken| spoken == *word)) {
            found.push((*word, format!("say {}", rule.say)));
        }
    }
    if !path.ends_with(".md") && !path.ends_with(".tsx") {
        return found;
    }
    let lower = line.to_lowercase();
    for (phrase, say) in PHRASES.iter().filter(|(phrase, _)| lower.contains(phrase)) {
        found.push((*phrase, (*say).to_owned()));
    }
    found
}

/// The words of a line in lower case, with `snake_case` and `camelCase` taken apart.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let starts = c.is_uppercase() && before.is_lowercase();
        if starts || !c.is_alphabetic() {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hide_neither_in_snakes_nor_in_camels() {
        assert_eq!(
            words("let next_job = popJob(JOBS);"),
            ["let", "next", "job", "pop", "job", "jobs"]
        );
        assert_eq!(in_line("a.rs", "fn run_job()").len(), 1);
        assert_eq!(in_line("a.rs", "a jobless subject").len(), 0);
    }

    #[test]
    fn a_promise_nobody_can_keep_is_found() {
        assert_eq!(in_line("a.md", "delivered Exactly once.")[0].0, "exactly once");
        assert_eq!(in_line("a.rs", "// called exactly once").len(), 0);
    }

    #[test]
    fn a_word_may_be_fine_elsewhere() {
        assert_eq!(in_line("crates/core/src/a.rs", "// messages").len(), 1);
        assert_eq!(in_line("crates/server/src/a.rs", "// messages").len(), 0);
    }
}
