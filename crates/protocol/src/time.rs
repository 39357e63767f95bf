//! Times on the wire: RFC 3339 in UTC with milliseconds.

use jiff::Timestamp;

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
    fn times_carry_milliseconds_and_z() {
        assert_eq!(rfc3339(1_000), "1970-01-01T00:00:01.000Z");
    }
}
