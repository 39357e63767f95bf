//! The commands and links in our documents: what they name must be there. That the commands of
//! the README work is shown by tests/e2e/readme.test.mjs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use crate::{places, run, sources};

/// Checks every document.
///
/// # Errors
/// All that was found, at once.
pub(crate) fn check(tasktonic: &Path) -> Result<()> {
    let mut found = Vec::new();
    let mut commands = BTreeSet::new();
    for file in sources::all().iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let text = sources::text(file).unwrap_or_default();
        found.extend(dead_links(file, &text));
        commands
            .extend(shell_lines(&text).into_iter().map(|line| (file.display().to_string(), line)));
    }
    for (file, line) in commands {
        for command in commands_in(&line) {
            if let Some(wrong) = wrong_with(&command, tasktonic) {
                found.push(format!("{file}: `{line}`: {wrong}"));
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!("the documents name what is not there:\n  {}", found.join("\n  "))
}

/// What `tasktonic` is asked for on a line: after variables, and inside of `$(…)`, too.
fn commands_in(line: &str) -> Vec<String> {
    let line = line.replace("$(", ")");
    let mut commands = Vec::new();
    for part in line.split(')') {
        let mut rest = part.trim();
        while let Some((first, after)) = rest.split_once(' ')
            && first.split_once('=').is_some_and(|(name, _)| is_variable(name))
        {
            rest = after.trim_start();
        }
        commands.push(rest.to_owned());
    }
    commands
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Relative links to files that do not exist.
fn dead_links(file: &Path, text: &str) -> Vec<String> {
    let folder = file.parent().unwrap_or(Path::new(""));
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|link| link.split('#').next().unwrap_or_default())
        .filter(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"))
        .filter(|link| !link.starts_with('/'))
        .filter(|link| !places::root().join(folder).join(link).exists())
        .map(|link| format!("{}: dead link {link}", file.display()))
        .collect()
}

/// The command lines in blocks marked `sh`, with continued lines joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    let mut joined = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
            continue;
        }
        if !inside {
            continue;
        }
        joined.push_str(line.split(" #").next().unwrap_or_default().trim_end());
        if joined.ends_with('\\') {
            joined.pop();
            continue;
        }
        let whole = std::mem::take(&mut joined);
        if !whole.trim().is_empty() && !whole.starts_with('#') {
            lines.push(whole.trim().to_owned());
        }
    }
    lines
}

/// Verbs and flags of our own two programs, asked from their `--help`.
fn wrong_with(line: &str, tasktonic: &Path) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", "xtask", rest @ ..] => {
            // By its place: a step before this one may have replaced the running file.
            let me = places::target().join("debug/xtask");
            unknown(&me, &rest[..rest.len().min(1)]).or_else(|| match rest {
                ["up", ..] => unknown(tasktonic, rest),
                // What follows is handed over as it is.
                ["bench", more @ ..] => {
                    unknown(&places::target().join("debug/tasktonic-bench"), more)
                }
                ["chaos", more @ ..] => {
                    unknown(&places::target().join("debug/tasktonic-chaos"), more)
                }
                _ => unknown(&me, rest),
            })
        }
        ["tasktonic", rest @ ..] => unknown(tasktonic, rest),
        ["npm", "run", script, ..] => {
            let package = std::fs::read_to_string(places::root().join("package.json")).ok()?;
            (!package.contains(&format!("\"{script}\":"))).then(|| format!("no script {script}"))
        }
        _ => None,
    }
}

/// The first verb or flag of `arguments` that `program` does not know.
fn unknown(program: &Path, arguments: &[&str]) -> Option<String> {
    let end = arguments.iter().position(|word| ["|", ">", "<", "&", "&&", ";"].contains(word));
    let arguments = &arguments[..end.unwrap_or(arguments.len())];
    let mut verbs: Vec<&str> = Vec::new();
    let mut help = help_of(program, &verbs)?;
    let mut flags_only = false;
    for word in arguments.iter().filter(|word| **word != "--") {
        if word.starts_with('-') {
            flags_only = true;
            let flag = word.split('=').next().unwrap_or(word);
            let known = help.split([' ', ',', '\n', '=', '[', ']']).any(|known| known == flag);
            if !known {
                return Some(format!("{} has no {flag}", program.display()));
            }
        } else if !flags_only && help.contains("Commands:") {
            verbs.push(word);
            let Some(deeper) = help_of(program, &verbs) else {
                return Some(format!("{} has no verb {}", program.display(), verbs.join(" ")));
            };
            help = deeper;
        }
    }
    None
}

fn help_of(program: &Path, verbs: &[&str]) -> Option<String> {
    run::ask(run::program(&program.to_string_lossy()).args(verbs).arg("--help")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handler_of_the_readme_is_the_tested_example() {
        let readme = sources::text("README.md".as_ref()).expect("the README");
        let tested = sources::text("crates/worker/src/lib.rs".as_ref()).expect("the example");
        let example: String = tested
            .lines()
            .filter_map(|line| line.strip_prefix("//!"))
            .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
            .collect();
        let shown: Vec<&str> =
            readme.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!shown.is_empty(), "the README shows a handler");
        for block in shown {
            assert!(example.contains(block), "not in crates/worker/src/lib.rs:\n{block}");
        }
    }

    #[test]
    fn commands_are_found_behind_variables_and_inside_of_others() {
        let line = "A_TOKEN=$(tasktonic token mint --user a) B=1 tasktonic task list";
        assert_eq!(
            commands_in(line)[1..],
            ["tasktonic token mint --user a", "tasktonic task list"]
        );
        assert_eq!(commands_in("A=1 B_2=x tasktonic up"), ["tasktonic up"]);
        assert_eq!(commands_in("tasktonic submit a --data b=c"), ["tasktonic submit a --data b=c"]);
    }

    #[test]
    fn commands_are_read_from_shell_blocks_only() {
        let text = "a\n```sh\none two \\\n  three   # why\n```\n```json\nfour\n```\n";
        assert_eq!(shell_lines(text), ["one two   three"]);
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let text = "[a](README-nowhere.md) [b](https://a.example/b) [c](#here)";
        assert_eq!(dead_links(Path::new("x.md"), text).len(), 1);
    }
}
