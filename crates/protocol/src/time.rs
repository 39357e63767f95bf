//! Times on the wire: RFC 3339 in UTC with milliseconds; and lengths of time as people write them.

use jiff::{Span, SpanRelativeTo, Timestamp};

/// `ms` since 1970 as RFC 3339 text, such as `2026-11-24T10:15:00.250Z`. Times outside the years
/// -9999 to 9999 become the nearest that can be written.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    let fallback = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_millisecond(ms).unwrap_or(fallback);
    format!("{time:.3}")
}

/// The ms since 1970 that an RFC 3339 text names, if it is one.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(|time| time.as_millisecond())
}

/// The ms of a length of time as people write it: `90s`, `5m`, `1h 30m`, `30d`. A day has 24 hours.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    u64::try_from(length.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_survives_its_text(ms in 0..253_402_300_799_000i64) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(ms)), Some(ms));
        }
    }

    #[test]
    fn a_length_of_time_is_read_as_people_write_it() {
        for (text, ms) in [
            ("90s", 90_000),
            ("1h 30m", 5_400_000),
            ("250ms", 250),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration_ms(text), Some(ms), "{text}");
        }
        for wrong in ["soon", "-3s", "", "5", "1mo"] {
            assert_eq!(parse_duration_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_carry_milliseconds_and_z() {
        assert_eq!(rfc3339(1_000), "1970-01-01T00:00:01.000Z");
    }
}
