//! The JSON of tokens and keys: one object, read strictly.

use serde_json::{Map, Value};
use tasktonic_protocol::strict::strict_value;

/// The JSON object in `text`: UTF-8, nothing after it, no member twice, at most 128 deep.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    match strict_value(text).ok()? {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_comes_twice_is_refused_at_every_depth() {
        assert!(object(br#"{"a":1,"b":{"a":1}}"#).is_some());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1e400}"#,
            r#"{"a":NaN}"#,
            "[]",
            "1",
            "",
            "{",
        ] {
            assert!(object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none(), "not UTF-8");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(4_000), "]".repeat(4_000));
        assert!(object(deep.as_bytes()).is_none(), "too deep");
    }
}
