//! Waiting for something to become true, with a deadline and a name.

use std::time::{Duration, Instant};

/// How often the question is asked.
const EVERY: Duration = Duration::from_millis(10);

/// Waits until `ready` answers with something, and returns that.
///
/// # Panics
/// When `within` has passed: the text says what was waited for.
#[track_caller]
pub fn for_some<T>(what: &str, within: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(since.elapsed() < within, "waited {within:?} for {what}");
        std::thread::sleep(EVERY);
    }
}

/// Waits until `ready` says so.
///
/// # Panics
/// When `within` has passed: the text says what was waited for.
#[track_caller]
pub fn until(what: &str, within: Duration, mut ready: impl FnMut() -> bool) {
    for_some(what, within, || ready().then_some(()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_returns_as_soon_as_it_is_true() {
        let mut asked = 0;
        until("three questions", Duration::from_secs(10), || {
            asked += 1;
            asked == 3
        });
        assert_eq!(asked, 3);
    }

    #[test]
    #[should_panic(expected = "for a miracle")]
    fn it_names_what_did_not_come() {
        until("a miracle", Duration::from_millis(30), || false);
    }
}
