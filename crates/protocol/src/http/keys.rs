//! What a key of a submission means, as it is said over HTTP, with its bounds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SubmitRequest;
use crate::problem::FieldError;

/// Longest key of a submission, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Longest window of a key, ms: 366 days.
pub const KEY_WINDOW_MS_MAX: u64 = 366 * 24 * 3_600 * 1_000;
/// How long a key without a window is one submission, ms: a day.
pub const KEY_TTL_MS_DEFAULT: u64 = 24 * 3_600 * 1_000;
/// How long a key that goes by where its task is is remembered at most, ms, unless said: 7 days.
pub const KEY_WAIT_MS_DEFAULT: u64 = 7 * 24 * 3_600 * 1_000;

/// What a submission makes of the task that has its key already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyMode {
    /// It is the same submission, for `key_window_ms`; with another body a conflict.
    #[default]
    Ttl,
    /// It is the same submission while that task has not ended; with another body a conflict.
    UntilDone,
    /// It is the same submission while that task waits; with another body a conflict.
    UntilStarted,
    /// That task does for this one while it has not ended, whatever the body.
    Unique,
    /// That task does for this one, whatever the body: one is accepted in each `key_window_ms`.
    Throttle,
    /// One that waits is cancelled for this one, which runs once nobody has submitted under the key
    /// for `key_window_ms`.
    Debounce,
    /// One that waits is cancelled for this one.
    Replace,
    /// The same, and this one starts once the one that runs has ended.
    Latest,
    /// The same, and the one that runs is asked to stop.
    Restart,
}

impl KeyMode {
    /// Every mode.
    pub const ALL: &'static [Self] = &[
        Self::Ttl,
        Self::UntilDone,
        Self::UntilStarted,
        Self::Unique,
        Self::Throttle,
        Self::Debounce,
        Self::Replace,
        Self::Latest,
        Self::Restart,
    ];

    /// The mode as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::UntilDone => "until_done",
            Self::UntilStarted => "until_started",
            Self::Unique => "unique",
            Self::Throttle => "throttle",
            Self::Debounce => "debounce",
            Self::Replace => "replace",
            Self::Latest => "latest",
            Self::Restart => "restart",
        }
    }

    /// Whether the key stands for its task to the end of the window, wherever that task is. Then a
    /// submission whose answer was lost may be sent again.
    #[must_use]
    pub fn is_dated(self) -> bool {
        matches!(self, Self::Ttl | Self::Throttle)
    }

    /// Whether a task that waits gives way to a newer one.
    #[must_use]
    pub fn replaces(self) -> bool {
        matches!(self, Self::Debounce | Self::Replace | Self::Latest | Self::Restart)
    }

    /// Whether one of the key runs at a time.
    #[must_use]
    pub fn is_serial(self) -> bool {
        matches!(self, Self::Latest | Self::Restart)
    }

    /// Whether it has no meaning without a window.
    #[must_use]
    pub fn needs_window(self) -> bool {
        matches!(self, Self::Throttle | Self::Debounce)
    }
}

impl std::str::FromStr for KeyMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|mode| mode.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|mode| mode.name()).collect();
            format!("one of {}", names.join(", "))
        })
    }
}

impl SubmitRequest {
    /// What its key means.
    #[must_use]
    pub fn mode(&self) -> KeyMode {
        self.key_mode.unwrap_or_default()
    }

    /// The key of the tasks it may not run beside.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        let of_key = || self.idempotency_key.as_deref().filter(|_| self.mode().is_serial());
        self.serial_key.as_deref().or_else(of_key)
    }

    /// What is wrong about its keys, with the place of each fault.
    #[must_use]
    pub fn key_faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut add = |pointer: &str, detail: String| {
            faults.push(FieldError { pointer: pointer.to_owned(), detail });
        };
        let mode = self.mode();
        for (pointer, key) in
            [("/idempotency_key", &self.idempotency_key), ("/serial_key", &self.serial_key)]
        {
            let fits = |key: &String| {
                (1..=KEY_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
            };
            if key.as_ref().is_some_and(|key| !fits(key)) {
                let detail = format!("is 1 to {KEY_BYTES_MAX} bytes without control characters");
                add(pointer, detail);
            }
        }
        if self.idempotency_key.is_none() {
            let tells = "says something about the key, and there is none: send idempotency_key";
            if self.key_mode.is_some() {
                add("/key_mode", tells.to_owned());
            }
            if self.key_window_ms.is_some() {
                add("/key_window_ms", tells.to_owned());
            }
        }
        match self.key_window_ms {
            Some(window_ms) if !(1..=KEY_WINDOW_MS_MAX).contains(&window_ms) => {
                add("/key_window_ms", format!("is 1 to {KEY_WINDOW_MS_MAX}"));
            }
            None if mode.needs_window() && self.idempotency_key.is_some() => {
                add(
                    "/key_window_ms",
                    format!("has to say for how long; {} goes by it", mode.name()),
                );
            }
            _ => {}
        }
        if mode == KeyMode::Debounce && (self.run_at.is_some() || self.delay_ms.is_some()) {
            let detail =
                "runs key_window_ms after the last submission; leave out run_at and delay_ms";
            add("/key_mode", detail.to_owned());
        }
        faults
    }

    /// How long the key is remembered, in ms from `now_ms`, for a task that is due at `due_ms`.
    #[must_use]
    pub fn key_ttl_ms(&self, now_ms: i64, due_ms: Option<i64>) -> i64 {
        let (mode, window_ms) = (self.mode(), self.key_window_ms);
        let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        if mode.is_dated() {
            return ms(window_ms.unwrap_or(KEY_TTL_MS_DEFAULT));
        }
        // The window of a debounced one is its delay, and part of the time until it is due.
        let window_ms = window_ms.filter(|_| mode != KeyMode::Debounce);
        let wait_ms = due_ms.map_or(0, |due_ms| due_ms.saturating_sub(now_ms).max(0));
        wait_ms.saturating_add(ms(window_ms.unwrap_or(KEY_WAIT_MS_DEFAULT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> SubmitRequest {
        let text = format!(r#"{{"kind":"noop","payload":{{}}{json}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in KeyMode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
            assert_eq!(mode.name().parse(), Ok(*mode));
        }
        assert!("always".parse::<KeyMode>().unwrap_err().contains("until_started"));
    }

    #[test]
    fn what_a_key_cannot_mean_is_said_with_its_place() {
        for (said, place) in [
            (r#","key_mode":"unique""#, "/key_mode"),
            (r#","key_window_ms":5"#, "/key_window_ms"),
            (r#","idempotency_key":"""#, "/idempotency_key"),
            (r#","idempotency_key":"k","key_window_ms":0"#, "/key_window_ms"),
            (r#","idempotency_key":"k","key_window_ms":31622400001"#, "/key_window_ms"),
            (r#","idempotency_key":"k","key_mode":"throttle""#, "/key_window_ms"),
            (r#","idempotency_key":"k","key_mode":"debounce""#, "/key_window_ms"),
            (
                r#","idempotency_key":"k","key_mode":"debounce","key_window_ms":5,"delay_ms":1"#,
                "/key_mode",
            ),
        ] {
            let faults = asked(said).key_faults();
            assert_eq!(faults.iter().map(|f| &*f.pointer).collect::<Vec<_>>(), [place], "{said}");
        }
        for mode in KeyMode::ALL {
            let said = format!(
                r#","idempotency_key":"k","key_mode":"{}","key_window_ms":31622400000"#,
                mode.name()
            );
            assert_eq!(asked(&said).key_faults(), []);
        }
        assert_eq!(asked("").key_faults(), []);
    }

    #[test]
    fn the_newest_of_a_key_runs_alone_under_that_key_or_one_that_is_named() {
        let key = r#","idempotency_key":"k""#;
        assert_eq!(asked(key).serial(), None);
        for mode in KeyMode::ALL {
            let said = format!(r#"{key},"key_mode":"{}""#, mode.name());
            assert_eq!(asked(&said).serial(), mode.is_serial().then_some("k"));
            let said = format!(r#"{said},"serial_key":"s""#);
            assert_eq!(asked(&said).serial(), Some("s"));
        }
        let long = format!(r#","serial_key":"{}""#, "k".repeat(256));
        assert_eq!(asked(&long).key_faults()[0].pointer, "/serial_key");
    }

    #[test]
    fn a_key_that_goes_by_its_task_is_remembered_past_its_time() {
        let key = r#","idempotency_key":"k""#;
        let day_ms = 86_400_000;
        assert_eq!(asked(key).key_ttl_ms(5, Some(1_000_005)), day_ms);
        let throttled = asked(&format!(r#"{key},"key_mode":"throttle","key_window_ms":9"#));
        assert_eq!(throttled.key_ttl_ms(5, Some(1_000_005)), 9);
        let unique = asked(&format!(r#"{key},"key_mode":"unique""#));
        assert_eq!(unique.key_ttl_ms(5, Some(1_000_005)), 7 * day_ms + 1_000_000);
        let bounded = asked(&format!(r#"{key},"key_mode":"unique","key_window_ms":9"#));
        assert_eq!(bounded.key_ttl_ms(5, None), 9);
        let quiet = asked(&format!(r#"{key},"key_mode":"debounce","key_window_ms":9"#));
        assert_eq!(quiet.key_ttl_ms(5, Some(14)), 7 * day_ms + 9);
    }
}
