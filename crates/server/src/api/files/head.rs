//! Headers of a file's answer: which bytes, under which name, and how little a browser may do with
//! them. Pure.

use std::ops::Range;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue};

/// What a request wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing: the caller has it already.
    NotModified,
    /// Bytes it does not have.
    Nowhere,
    /// Another version than there is.
    Changed,
}

/// What a request with these headers wants of a file of `size` bytes and `etag`.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let names = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|tag| matches!(tag.trim(), tag if tag == "*" || tag == etag))
    };
    let weak = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        text.split(',').any(|tag| matches!(&*plain(tag), tag if tag == "*" || tag == etag))
    };
    if headers.get(IF_MATCH).is_some_and(|value| !names(value)) {
        return Wanted::Changed;
    }
    if headers.get(IF_NONE_MATCH).is_some_and(weak) {
        return Wanted::NotModified;
    }
    let stale = headers.get(IF_RANGE).is_some_and(|value| value.as_bytes() != etag.as_bytes());
    match headers.get(RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) if !stale => range(text, size),
        _ => Wanted::Whole,
    }
}

/// One range of bytes. Whatever is no single range of bytes is ignored, as RFC 9110 allows.
fn range(text: &str, size: u64) -> Wanted {
    let Some(spec) = text.strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // A number too large for us is beyond every file.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", last) => match number(last) {
            Some(0) => return Wanted::Nowhere,
            Some(count) => size.saturating_sub(count)..size,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
            _ => return Wanted::Whole,
        },
    };
    if range.start >= size || range.is_empty() { Wanted::Nowhere } else { Wanted::Part(range) }
}

/// `Content-Disposition` with the name for every client: plain where it is plain, and as RFC 8187
/// writes all others. The name is data: nothing in it can end the header or begin another.
pub(super) fn disposition(inline: bool, name: &str) -> HeaderValue {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '/' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    let mut coded = String::with_capacity(name.len() * 3);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            coded.push(char::from(byte));
        } else {
            coded.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{coded}"))
        .expect("printable ASCII only")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        for (text, want) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-100", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nowhere),
            ("bytes=99999999999999999999999-", Wanted::Nowhere),
            ("bytes=-0", Wanted::Nowhere),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(range(text, 10), want, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Wanted::Nowhere);
    }

    #[test]
    fn a_copy_that_is_still_good_is_not_sent_again() {
        let headers = |name, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let ask = |headers: &HeaderMap| wanted(headers, 10, "\"abc\"");
        assert_eq!(ask(&headers(IF_NONE_MATCH, "\"x\", W/\"abc\"")), Wanted::NotModified);
        assert_eq!(ask(&headers(IF_NONE_MATCH, "\"x\"")), Wanted::Whole);
        assert_eq!(ask(&headers(IF_MATCH, "\"x\"")), Wanted::Changed);
        let mut both = headers(RANGE, "bytes=1-2");
        both.insert(IF_RANGE, HeaderValue::from_static("\"old\""));
        assert_eq!(ask(&both), Wanted::Whole);
        both.insert(IF_RANGE, HeaderValue::from_static("\"abc\""));
        assert_eq!(ask(&both), Wanted::Part(1..3));
    }

    proptest! {
        #[test]
        fn a_part_lies_inside_its_file(text in "bytes=[0-9]{0,22}-[0-9]{0,22}", size: u64) {
            if let Wanted::Part(part) = range(&text, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }

        #[test]
        fn no_name_breaks_out_of_its_header(name in ".{0,80}", inline: bool) {
            let value = disposition(inline, &name);
            let text = value.to_str().unwrap();
            prop_assert_eq!(text.matches('"').count(), 2);
            prop_assert!(!text.contains(['\r', '\n', '\\']));
        }
    }
}
