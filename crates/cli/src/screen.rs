//! What people see: colours only on a terminal that wants them, errors on standard error.

use std::io::{IsTerminal, Write};

use tasktonic_protocol::problem::{Code, Problem};

/// A style of the terminal.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
    Blue,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Blue => "34",
        }
    }
}

/// `text` in `style`, where standard output is a terminal that shows colours.
pub(crate) fn styled(text: &str, style: Style) -> String {
    styled_for(std::io::stdout().is_terminal(), text, style)
}

fn styled_for(terminal: bool, text: &str, style: Style) -> String {
    let wanted = terminal
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    if wanted { format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()) } else { text.to_owned() }
}

/// Text that came from elsewhere, without what a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// So many of what `one` is called, such as `1 task` and `2 tasks`.
pub(crate) fn many(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// A line on standard output. A reader that has gone away ends nothing but the output.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line about what goes on, on standard error.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Why it did not work, with all causes, on standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let word = styled_for(std::io::stderr().is_terminal(), "error:", Style::Red);
    let _ = writeln!(std::io::stderr(), "{word} {}", words(error));
}

/// What stands behind `error:`; what a server said is sentences, a line each.
fn words(error: &anyhow::Error) -> String {
    let said = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(tasktonic_client::Error::Problem { problem, .. }) => Some(problem.clone()),
        _ => None,
    };
    let Some(refused) = error.chain().find_map(said) else { return format!("{error:#}") };
    let ours = error.chain().take_while(|cause| said(*cause).is_none());
    let mut lines: Vec<String> = ours.map(ToString::to_string).collect();
    lines.extend(problem(&refused));
    lines.join("\n       ")
}

/// A refusal of the server: what is wrong, what to do, and each fault of a body.
pub(crate) fn problem(problem: &Problem) -> Vec<String> {
    // The server speaks to programs too; here somebody has a command line.
    let detail = match Code::from_name(&problem.code) {
        Some(Code::KindUnknown) => {
            "`tasktonic kinds` lists those there are; a worker that knows another announces it."
        }
        _ => problem.detail.as_str(),
    };
    let title = problem.title.trim_end_matches('.');
    let mut lines = Vec::new();
    if !title.is_empty() && !detail.starts_with(title) {
        lines.push(format!("{}.", harmless(title)));
    }
    if !detail.is_empty() {
        lines.push(harmless(detail));
    }
    let faults = problem.errors.iter();
    lines.extend(faults.map(|fault| {
        let place = if fault.pointer.is_empty() { "the payload" } else { &fault.pointer };
        format!("  {}: {}", harmless(place), harmless(&fault.detail))
    }));
    lines
}

/// The word of a status in its colour.
pub(crate) fn status(name: &str) -> String {
    let style = match name {
        "completed" => Style::Green,
        "failed" => Style::Red,
        "running" | "cancelling" => Style::Blue,
        "retrying" => Style::Yellow,
        _ => Style::Dim,
    };
    styled(name, style)
}

/// Rows under headings, columns as wide as they must be; the last may be as long as it likes.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &[String], paint: &dyn Fn(usize, String) -> String| {
        let padded = cells.iter().enumerate().map(|(at, cell)| {
            let last = at + 1 == cells.len();
            let pad = if last { 0 } else { widths[at] - cell.chars().count() };
            format!("{}{}", paint(at, cell.clone()), " ".repeat(pad))
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    let heads: Vec<String> = headings.iter().map(|head| (*head).to_owned()).collect();
    say(&line(&heads, &|_, cell| styled(&cell, Style::Dim)));
    for row in rows {
        say(&line(row, &|at, cell| if headings[at] == "STATUS" { status(&cell) } else { cell }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(harmless("a\u{1b}[2Jb\rc\td"), "a\u{fffd}[2Jb\u{fffd}c\td");
    }

    #[test]
    fn a_refusal_is_sentences_and_names_commands_instead_of_routes() {
        let refusal = |code: &str, detail: &str| {
            let text = serde_json::json!({
                "type": "/docs/errors/x", "title": "It is refused.", "status": 422, "code": code,
                "detail": detail, "errors": [{ "pointer": "/a", "detail": "is no number" }],
            });
            let problem = Box::new(serde_json::from_value(text).unwrap());
            tasktonic_client::Error::Problem { problem, retry_after: None }
        };
        let error = anyhow::Error::new(refusal("payload_invalid", "Correct it.\u{1b}[2J"));
        assert_eq!(
            words(&error),
            "It is refused.\n       Correct it.\u{fffd}[2J\n         /a: is no number"
        );
        let error = anyhow::Error::new(refusal("kind_unknown", "See GET /api/v1/kinds."));
        let said = words(&error.context("uploading"));
        assert!(said.starts_with("uploading\n       It is refused.\n"), "{said}");
        assert!(said.contains("`tasktonic kinds`") && !said.contains("/api/"), "{said}");
        assert_eq!(words(&anyhow::anyhow!("low").context("high")), "high: low");
    }

    #[test]
    fn there_are_no_colours_where_there_is_no_terminal() {
        assert_eq!(styled_for(false, "x", Style::Red), "x");
    }
}
