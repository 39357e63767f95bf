//! What must not be in any file: tests that do not run, hosts in lock files, traces of the machine
//! it was written on.

use super::Findings;
use crate::sources;

/// This file has to spell what it looks for.
const ITSELF: &str = "xtask/src/tidy/hygiene.rs";

/// Spelling, and what is wrong with it.
const NOWHERE: &[(&str, &str)] = &[
    ("/home/", "a path of one machine"),
    ("/Users/", "a path of one machine"),
    ("/root/", "a path of one machine"),
];

const IN_RUST: &[(&str, &str)] = &[
    ("#[ignore", "a test that does not run"),
    ("todo!(", "unfinished"),
    ("unimplemented!(", "unfinished"),
];

const IN_SCRIPTS: &[(&str, &str)] = &[
    ("test.skip(", "a test that does not run"),
    ("it.skip(", "a test that does not run"),
    ("describe.skip(", "a test that does not run"),
    ("test.todo(", "a test that does not run"),
    ("it.todo(", "a test that does not run"),
    ("test.only(", "hides the other tests"),
    ("it.only(", "hides the other tests"),
    ("describe.only(", "hides the other tests"),
];

pub(crate) fn check() -> Findings {
    let mut findings = Findings::new();
    for file in sources::all() {
        let path = file.to_string_lossy().into_owned();
        if path == ITSELF {
            continue;
        }
        let Some(text) = sources::text(&file) else { continue };
        let extension = file.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        findings.extend(in_text(&path, extension, &text));
    }
    findings
}

fn in_text(path: &str, extension: &str, text: &str) -> Findings {
    let mut rules: Vec<(&str, &str)> = NOWHERE.to_vec();
    match extension {
        "rs" => rules.extend(IN_RUST),
        "ts" | "tsx" | "mjs" | "js" => rules.extend(IN_SCRIPTS),
        _ if path.ends_with("package-lock.json") => {
            rules.push((
                "\"resolved\": \"http",
                "a lock file that names a host: npm install with the .npmrc here",
            ));
        }
        _ => {}
    }
    let mut findings = Findings::new();
    for (number, line) in text.lines().enumerate() {
        for (spelling, wrong) in rules.iter().filter(|(spelling, _)| line.contains(spelling)) {
            findings.push(format!("{path}:{}: {spelling}: {wrong}", number + 1));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_test_is_found_and_an_iterator_that_skips_is_not() {
        assert_eq!(in_text("a.ts", "ts", "test.skip('a')").len(), 1);
        assert_eq!(in_text("a.rs", "rs", "list.iter().skip(1)").len(), 0);
        assert_eq!(in_text("a.rs", "rs", "#[ignore = \"slow\"]").len(), 1);
    }

    #[test]
    fn a_host_in_a_lock_file_is_found_and_a_link_is_not() {
        let lock = "\"resolved\": \"https://a.example/b.tgz\",\n\"resolved\": \"web\",";
        assert_eq!(in_text("package-lock.json", "json", lock).len(), 1);
    }
}
