//! How long the other side asks to wait.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longest wait that is granted: a day.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What `Retry-After` says: seconds, or a date. A date is measured from the answer's own `Date`, so
/// that a clock that is wrong here or there does no harm.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are a long wait too.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        let now = date(headers.get(DATE)?.to_str().ok()?)?;
        date(text)?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_nonsense_is_nothing() {
        let now = "Wed, 21 Oct 2015 07:28:00 GMT";
        for (said, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(WAIT_MAX.as_secs())),
            ("Wed, 21 Oct 2015 07:29:30 GMT", Some(90)),
            ("Wednesday, 21-Oct-15 07:29:30 GMT", Some(90)),
            ("Wed Oct 21 07:29:30 2015", Some(90)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Wed, 21 Oct 2099 07:00:00 GMT", Some(WAIT_MAX.as_secs())),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, now.parse().unwrap());
            headers.insert(RETRY_AFTER, said.parse().unwrap());
            assert_eq!(wait(&headers), expected.map(Duration::from_secs), "{said:?}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_without_a_date_to_measure_from_is_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Wed, 21 Oct 2015 07:29:30 GMT".parse().unwrap());
        assert_eq!(wait(&headers), None);
    }
}
