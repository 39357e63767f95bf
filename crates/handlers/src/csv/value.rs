//! What one cell is: nothing, a whole number, a number, a boolean, a date or a text. It judges by
//! bytes and knows nothing of columns.

/// What one cell is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Empty, or one of the words for it: null, N/A, NaN, `\N`.
    Null,
    /// A whole number that fits 64 bits. One with leading zeros is a text: a postal code is no number.
    Integer(i64),
    /// A finite number with a decimal point or an exponent, or too large for the above.
    Number(f64),
    /// true, false, yes, no.
    Boolean,
    /// A date, perhaps with a time; comparable by this key.
    Date(i64),
    /// Anything else.
    Text,
}

/// No number of a table is longer, in bytes.
const NUMBER_BYTES_MAX: usize = 40;
/// A date with time, fraction and zone, in bytes.
const DATE_BYTES_MAX: usize = 40;

/// What a cell is; white space around it does not count.
pub(crate) fn judge(cell: &[u8]) -> Value {
    let cell = cell.trim_ascii();
    let Some(first) = cell.first() else { return Value::Null };
    match first {
        b'0'..=b'9' | b'-' | b'.' => {
            number(cell).or_else(|| date(cell).map(Value::Date)).unwrap_or(Value::Text)
        }
        b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'\\' => word(cell),
        _ => Value::Text,
    }
}

fn word(cell: &[u8]) -> Value {
    let is = |word: &str| cell.eq_ignore_ascii_case(word.as_bytes());
    if is("null") || is("nan") || is("n/a") || cell == b"\\N" {
        Value::Null
    } else if is("true") || is("false") || is("yes") || is("no") {
        Value::Boolean
    } else {
        Value::Text
    }
}

fn number(cell: &[u8]) -> Option<Value> {
    if cell.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let (&first, rest) = digits.split_first()?;
    if first == b'0' && rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) {
        let size = digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        return Some(Value::Integer(if digits.len() == cell.len() { size } else { -size }));
    }
    // The parser of the standard library also takes "inf" and a plus; these bytes are all it gets.
    if !digits.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+')) {
        return None;
    }
    let text = std::str::from_utf8(cell).ok()?;
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::Integer(whole));
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Number)
}

/// `2024-02-29`, `2024/02/29` and `29.02.2024`, with `T` or a space and a time after them or not.
/// Zones are not applied: the order is that of the clocks on the wall. `1/2/2024` could be two
/// days and is a text.
fn date(cell: &[u8]) -> Option<i64> {
    if cell.len() < 10 || cell.len() > DATE_BYTES_MAX {
        return None;
    }
    let (day, rest) = cell.split_at(10);
    let (year, month, day) = match (day[4], day[7], day[2], day[5]) {
        (b'-', b'-', ..) | (b'/', b'/', ..) => {
            (digits(&day[..4])?, digits(&day[5..7])?, digits(&day[8..])?)
        }
        (_, _, b'.', b'.') => (digits(&day[6..])?, digits(&day[3..5])?, digits(&day[..2])?),
        _ => return None,
    };
    let long = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return None,
    };
    if day == 0 || day > long {
        return None;
    }
    let seconds = if rest.is_empty() { 0 } else { time(rest)? };
    Some((year * 10_000 + month * 100 + day) * 1_000_000 + seconds)
}

/// `T12:34`, ` 12:34:56`, with a fraction and a zone or without.
fn time(rest: &[u8]) -> Option<i64> {
    let clock = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    if clock.len() < 5 || clock[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&clock[..2])?, digits(&clock[3..5])?);
    let mut rest = &clock[5..];
    let mut second = 0;
    if rest.first() == Some(&b':') {
        second = digits(rest.get(1..3)?)?;
        rest = &rest[3..];
        if let Some(fraction) = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
            let end = fraction.iter().position(|b| !b.is_ascii_digit()).unwrap_or(fraction.len());
            if end == 0 {
                return None;
            }
            rest = &fraction[end..];
        }
    }
    if hour > 23 || minute > 59 || second > 60 || !zone(rest) {
        return None;
    }
    Some(hour * 10_000 + minute * 100 + second)
}

fn zone(rest: &[u8]) -> bool {
    match rest {
        b"" | b"Z" | b"z" => true,
        [b'+' | b'-', clock @ ..] => {
            let clock: Vec<u8> = clock.iter().copied().filter(|b| *b != b':').collect();
            matches!(clock.len(), 2 | 4) && digits(&clock).is_some()
        }
        _ => false,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_what_a_person_would_say() {
        use Value::{Boolean, Date, Integer, Null, Number, Text};
        for (cell, expected) in [
            ("", Null),
            ("   ", Null),
            ("NULL", Null),
            ("N/A", Null),
            ("nan", Null),
            ("\\N", Null),
            ("0", Integer(0)),
            ("-0", Integer(0)),
            (" 42 ", Integer(42)),
            ("-17", Integer(-17)),
            ("9223372036854775807", Integer(i64::MAX)),
            ("-9223372036854775808", Integer(i64::MIN)),
            ("9223372036854775808", Number(9.223_372_036_854_776e18)),
            ("0.5", Number(0.5)),
            (".5", Number(0.5)),
            ("-1e3", Number(-1000.0)),
            ("1E-2", Number(0.01)),
            ("007", Text),
            ("00", Text),
            ("-01", Text),
            ("+1", Text),
            ("1e999", Text),
            ("inf", Text),
            ("-inf", Text),
            ("-", Text),
            (".", Text),
            ("1-2", Text),
            ("1.2.3", Text),
            ("0x10", Text),
            ("1,5", Text),
            ("true", Boolean),
            ("No", Boolean),
            ("t", Text),
            ("nope", Text),
            ("2024-02-29", Date(20_240_229_000_000)),
            ("2023-02-29", Text),
            ("2024-13-01", Text),
            ("2024-00-01", Text),
            ("29.02.2024", Date(20_240_229_000_000)),
            ("2024/2/1", Text),
            ("2024-02-29T23:59:58.123Z", Date(20_240_229_235_958)),
            ("2024-02-29 07:05", Date(20_240_229_070_500)),
            ("2024-02-29 07:05:00+0100", Date(20_240_229_070_500)),
            ("2024-02-29T07:05:00-03:30", Date(20_240_229_070_500)),
            ("2024-02-29T24:00", Text),
            ("2024-02-29T", Text),
            ("2024-02-29x", Text),
            ("01/02/2024", Text),
            ("=1+1", Text),
            ("@SUM(A1)", Text),
        ] {
            assert_eq!(judge(cell.as_bytes()), expected, "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(cell in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = judge(&cell);
        }

        #[test]
        fn every_whole_number_reads_as_itself(number in any::<i64>()) {
            prop_assert_eq!(judge(number.to_string().as_bytes()), Value::Integer(number));
        }

        #[test]
        fn every_finite_number_reads_as_itself(number in proptest::num::f64::NORMAL) {
            let text = format!("{number:e}");
            prop_assume!(text.len() <= NUMBER_BYTES_MAX && text.contains('.'));
            prop_assert_eq!(judge(text.as_bytes()), Value::Number(number));
        }

        #[test]
        fn dates_sort_like_their_texts(a in "20[0-9]{2}-0[1-9]-(0[1-9]|1[0-9])", b in "20[0-9]{2}-0[1-9]-(0[1-9]|1[0-9])") {
            let (Value::Date(x), Value::Date(y)) = (judge(a.as_bytes()), judge(b.as_bytes())) else { panic!("{a} {b}") };
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
