//! JSON as strangers send it: looked at before it is parsed, and parsed without forgiving what two
//! readers could read in two ways. Never repeats a value in an error.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tasktonic_protocol::problem::FieldError;
use tasktonic_protocol::strict::{self, TWICE};

use crate::problem::Refusal;

/// Deepest nesting of arrays and objects in a body.
pub(super) const DEPTH_MAX: usize = 64;
/// Longest detail that names a member of the caller's own body, in bytes.
const DETAIL_BYTES_MAX: usize = 300;

/// Whether a body nests no deeper than [`DEPTH_MAX`]. Looks at brackets outside strings only, so
/// it also answers for texts that are not JSON.
pub(super) fn check_depth(bytes: &[u8]) -> Result<(), Refusal> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(Refusal::bad_request(format!(
                "The body nests deeper than {DEPTH_MAX} levels; make it flatter."
            )));
        }
    }
    Ok(())
}

/// A body of a known form.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    check_depth(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| Refusal::bad_request(explain(&error)))
}

/// What is wrong with a body, without any value of it.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let named = ["unknown field", "missing field", "duplicate field", "unknown variant"];
    let about = if !error.is_data() || named.iter().any(|start| text.starts_with(start)) {
        text.as_str()
    } else {
        // `invalid type: string "…", expected u32 at line 1 column 7`: only the end is free of
        // values.
        text.rfind("expected ")
            .map_or("the body is not of the form of this address", |at| &text[at..])
    };
    let mut end = about.len().min(DETAIL_BYTES_MAX);
    while !about.is_char_boundary(end) {
        end -= 1;
    }
    format!("The JSON body cannot be read: {}.", &about[..end])
}

/// The value of a payload, in which no object names a member twice.
///
/// # Errors
/// What is wrong with it, for the payload's author.
pub(super) fn strict_value(text: &str) -> Result<Value, FieldError> {
    strict::strict_value(text.as_bytes()).map_err(|error| {
        let detail = if error.to_string().starts_with(TWICE) {
            "an object names a member twice".to_owned()
        } else if error.to_string().starts_with("number out of range") {
            "a number is too large to be read".to_owned()
        } else {
            "is not JSON".to_owned()
        };
        FieldError { pointer: String::new(), detail }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        #[expect(dead_code, reason = "only read by serde")]
        n: u32,
    }

    #[test]
    fn the_deepest_body_is_read_and_one_level_more_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check_depth(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(check_depth(nested(DEPTH_MAX + 1).as_bytes()).is_err());
        let text = format!(r#"["\"{}"]"#, "[".repeat(200));
        assert!(check_depth(text.as_bytes()).is_ok(), "brackets in a string nest nothing");
    }

    #[test]
    fn an_error_names_members_and_never_values() {
        for (body, says) in [
            (r#"{"n":"hunter2"}"#, "expected u32"),
            (r#"{"n":1,"n":2}"#, "duplicate field `n`"),
            (r#"{"m":1}"#, "unknown field `m`"),
            (r#"{}"#, "missing field `n`"),
            (r#"{"n":1"#, "EOF"),
        ] {
            let detail = parse::<Known>(body.as_bytes()).unwrap_err().detail;
            assert!(detail.contains(says), "{body}: {detail}");
            assert!(!detail.contains("hunter2"), "{detail}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert_eq!(strict_value(text).unwrap_err().detail, "an object names a member twice");
        }
        assert_eq!(strict_value("1e999").unwrap_err().detail, "a number is too large to be read");
    }
}
