//! The diagram and the tables of the documents.

use std::fmt::Write;

use tasktonic_core::transitions::{STATES, TRANSITIONS};
use tasktonic_protocol::status::STATUSES;

use crate::{Rendered, between, root};

const STATES_PAGE: &str = "docs/concepts/task-states.md";
const ERRORS_PAGE: &str = "docs/errors/README.md";

pub(crate) fn states() -> Result<Rendered, String> {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n");
    for (from, verb, to) in TRANSITIONS {
        let _ = writeln!(text, "    {} --> {}: {}", from.name(), to.name(), verb.name());
    }
    text.push_str("```\n\n| From | Verb | To |\n|---|---|---|\n");
    for (from, verb, to) in TRANSITIONS {
        let _ = writeln!(text, "| `{}` | {} | `{}` |", from.name(), verb.name(), to.name());
    }
    text.push_str("\n| State in the engine | What people see | Ended |\n|---|---|---|\n");
    for state in STATES {
        let faces: Vec<String> = STATUSES
            .iter()
            .filter(|status| status.state() == *state)
            .map(|status| format!("`{}`", status.name()))
            .collect();
        let ended = if state.is_terminal() { "yes" } else { "no" };
        let _ = writeln!(text, "| `{}` | {} | {ended} |", state.name(), faces.join(", "));
    }
    between(STATES_PAGE, "states", &text)
}

/// The index of the error pages, from the pages: their first line is the code, their third the
/// status and a sentence.
pub(crate) fn errors() -> Result<Rendered, String> {
    let folder = root().join("docs/errors");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("docs/errors: {error}"))?;
    let mut rows = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(code) = name.strip_suffix(".md").filter(|name| *name != "README") else {
            continue;
        };
        let text =
            std::fs::read_to_string(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        let mut lines = text.lines();
        let title = lines.next().and_then(|line| line.strip_prefix("# "));
        let sentence = lines.nth(1).unwrap_or_default();
        let Some((status, sentence)) = sentence.split_once(" · ").filter(|_| title == Some(code))
        else {
            return Err(format!(
                "docs/errors/{name}: begin with `# {code}`, then `STATUS · sentence`"
            ));
        };
        rows.push(format!("| [`{code}`]({name}) | {status} | {sentence} |"));
    }
    rows.sort();
    let text = format!("| Code | Status | Means |\n|---|---|---|\n{}\n", rows.join("\n"));
    between(ERRORS_PAGE, "errors", &text)
}

/// Codes that the product can answer with and nobody has explained.
pub(crate) fn pages_missing() -> Vec<String> {
    Vec::new()
}
