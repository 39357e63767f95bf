//! What a program says in a line.

use serde::Deserialize;
use serde_json::value::RawValue;
use tasktonic_protocol::stored::{LogLevel, Progress};

/// A line that is an object with one of these members and no other.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// `{"progress": {"done": 1, "total": 10, "unit": "rows", "note": "…"}}`
    Progress(Progress),
    /// `{"log": {"level": "warn", "text": "…"}}`
    Log(Log),
    /// `{"output": …}`
    Output(Box<RawValue>),
    /// `{"error": {"code": "no_such_report", "message": "…", "final": true}}`
    Error(Error),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(default = "info")]
    pub(super) level: LogLevel,
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Error {
    #[serde(default = "failed")]
    pub(super) code: String,
    pub(super) message: String,
    /// Whether no further attempt can succeed.
    #[serde(default, rename = "final")]
    pub(super) is_final: bool,
}

fn info() -> LogLevel {
    LogLevel::Info
}

fn failed() -> String {
    "exec_failed".into()
}

/// Reads a line. What is no object of ours is an ordinary line: `Ok(None)`.
///
/// # Errors
/// If it begins like one of ours and cannot be read.
pub(super) fn read(line: &str) -> Result<Option<Said>, String> {
    let line = line.trim();
    if !line.starts_with('{') {
        return Ok(None);
    }
    match serde_json::from_str(line) {
        Ok(said) => Ok(Some(said)),
        Err(error) if is_ours(line) => Err(error.to_string()),
        // Programs that log JSON lines of their own keep them as they are.
        Err(_) => Ok(None),
    }
}

fn is_ours(line: &str) -> bool {
    let Some(rest) = line[1..].trim_start().strip_prefix('"') else { return false };
    ["progress\"", "log\"", "output\"", "error\""].iter().any(|name| rest.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ours_are_told_from_others() {
        for plain in [
            "hello",
            "",
            "{",
            "{}",
            "{\"level\":\"info\",\"msg\":\"own format\"}",
            "[1]",
            "{\"progressive\":1}",
        ] {
            assert!(matches!(read(plain), Ok(None)), "{plain}");
        }
        assert!(matches!(
            read(r#" {"progress":{"done":1,"total":2}} "#),
            Ok(Some(Said::Progress(_)))
        ));
        assert!(matches!(
            read(r#"{"log":{"text":"x"}}"#),
            Ok(Some(Said::Log(Log { level: LogLevel::Info, .. })))
        ));
        for wrong in [
            r#"{"progress":{"done":-1,"total":2}}"#,
            r#"{"log":"x"}"#,
            r#"{"output":1,"error":2}"#,
            r#"{ "output": "#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_output_is_kept_byte_for_byte() {
        let Ok(Some(Said::Output(output))) =
            read(r#"{"output":{"n":1.50,"big":12345678901234567890}}"#)
        else {
            panic!("not read as an output");
        };
        assert_eq!(output.get(), r#"{"n":1.50,"big":12345678901234567890}"#);
    }

    #[test]
    fn an_error_has_a_code_and_is_not_final_unless_it_says_so() {
        let Ok(Some(Said::Error(error))) = read(r#"{"error":{"message":"no"}}"#) else {
            panic!("no error")
        };
        assert_eq!(
            error,
            Error { code: "exec_failed".into(), message: "no".into(), is_final: false }
        );
    }
}
