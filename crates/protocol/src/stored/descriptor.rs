//! The description of a task as every store keeps it, with how it is attempted.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tasktonic_core::Text;
use tasktonic_core::policy::{AttemptsPolicy, Backoff, CRASHES_MAX_DEFAULT, Retention};

use crate::policy::{Rule, TaskPolicy};

/// The immutable description of a task, written once at submission.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Descriptor {
    /// Version of this form.
    pub v: u8,
    /// Kind.
    #[serde(rename = "k")]
    pub kind: String,
    /// Queue.
    #[serde(rename = "q")]
    pub queue: String,
    /// Wall-clock time of acceptance, ms.
    #[serde(rename = "at")]
    pub created_ms: i64,
    /// Attempts in all.
    #[serde(rename = "max")]
    pub attempts_max: u32,
    /// Waits between attempts.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<StoredBackoff>,
    /// What follows an error of certain codes; the first that fits decides.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Attempts that may end with the loss of their worker.
    #[serde(rename = "cm", default, skip_serializing_if = "Option::is_none")]
    pub crashes_max: Option<u32>,
    /// The handler is told to stop after this long, ms.
    #[serde(rename = "ts", default, skip_serializing_if = "Option::is_none")]
    pub soft_timeout_ms: Option<u64>,
    /// Longest run of one attempt, ms.
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Seconds kept after completion, cancellation, death.
    #[serde(rename = "keep", default, skip_serializing_if = "Option::is_none")]
    pub keep_s: Option<[u32; 3]>,
    /// Not before this wall-clock time, ms.
    #[serde(rename = "due", default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<i64>,
    /// The user's labels.
    #[serde(rename = "tags", default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Idempotency key, and until when the task has to be there for it (wall clock, ms); 0 where the
    /// key goes by where the task is.
    #[serde(rename = "key", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<(String, i64)>,
    /// The key of the tasks it may not run beside.
    #[serde(rename = "sk", default, skip_serializing_if = "Option::is_none")]
    pub serial_key: Option<String>,
    /// The schedule that made it, and at which tick (wall clock, ms), unless somebody asked for it.
    #[serde(rename = "sch", default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<(String, Option<i64>)>,
    /// The payload, byte for byte as it came.
    #[serde(rename = "p")]
    pub payload: Box<RawValue>,
}

/// A [`Backoff`] as it is stored. The same wait every time is one that does not grow; who does not know
/// lists waits as long as the first of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredBackoff {
    /// First wait, ms.
    pub base_ms: u64,
    /// Growth.
    pub factor: f64,
    /// Longest wait, ms.
    pub max_ms: u64,
    /// Spread, 0 to 1.
    pub jitter: f64,
    /// The waits, ms, where there is a list of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list_ms: Vec<u64>,
}

impl From<Backoff> for StoredBackoff {
    fn from(backoff: Backoff) -> Self {
        let steady = |wait_ms, jitter| Self {
            base_ms: wait_ms,
            factor: 1.0,
            max_ms: wait_ms,
            jitter,
            list_ms: Vec::new(),
        };
        match backoff {
            Backoff::Fixed { wait_ms, jitter } => steady(wait_ms, jitter),
            Backoff::Exponential { base_ms, factor, max_ms, jitter } => {
                Self { base_ms, factor, max_ms, jitter, list_ms: Vec::new() }
            }
            Backoff::List { waits_ms, jitter } => {
                let first = waits_ms.first().copied().unwrap_or_default();
                Self { list_ms: waits_ms, ..steady(first, jitter) }
            }
        }
    }
}

impl From<StoredBackoff> for Backoff {
    fn from(stored: StoredBackoff) -> Self {
        let StoredBackoff { base_ms, factor, max_ms, jitter, list_ms } = stored;
        if !list_ms.is_empty() {
            Self::List { waits_ms: list_ms, jitter }
        } else if factor <= 1.0 && base_ms == max_ms {
            Self::Fixed { wait_ms: base_ms, jitter }
        } else {
            Self::Exponential { base_ms, factor, max_ms, jitter }
        }
    }
}

impl Descriptor {
    /// The version written today.
    pub const V: u8 = 1;

    /// Reads a stored descriptor.
    ///
    /// # Errors
    /// If the text is not a descriptor.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The stored text.
    #[must_use]
    pub fn text(&self) -> Text {
        serde_json::to_string(self).expect("strings, numbers and valid JSON serialise").into()
    }

    /// Its waits between attempts.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff.clone().map_or(Backoff::DEFAULT, Into::into)
    }

    /// Attempts that may end with the loss of their worker.
    #[must_use]
    pub fn crashes_max(&self) -> u32 {
        self.crashes_max.unwrap_or(CRASHES_MAX_DEFAULT)
    }

    /// How often it is attempted, and when.
    #[must_use]
    pub fn attempts_policy(&self) -> AttemptsPolicy {
        AttemptsPolicy {
            attempts_max: self.attempts_max,
            crashes_max: self.crashes_max(),
            backoff: self.backoff(),
            rules: self.rules.iter().map(Rule::decided).collect(),
        }
    }

    /// The same for people, with how long it is kept.
    #[must_use]
    pub fn shown_policy(&self) -> TaskPolicy {
        TaskPolicy {
            crashes_max: self.crashes_max(),
            backoff: self.backoff().into(),
            rules: self.rules.clone(),
            soft_timeout_ms: self.soft_timeout_ms,
            keep: self.retention().into(),
        }
    }

    /// Its retention.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.keep_s.map_or(Retention::DEFAULT, |[completed_s, cancelled_s, dead_s]| Retention {
            completed_s,
            cancelled_s,
            dead_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_keeps_the_payload_byte_for_byte() {
        let payload = r#"{"n":12345678901234567890.000,"b":[ 1,2 ],"é":"\u0000"}"#;
        let text = format!(r#"{{"v":1,"k":"noop","q":"noop","at":5,"max":3,"p":{payload}}}"#);
        let read = Descriptor::parse(&text).unwrap();
        assert_eq!(read.payload.get(), payload);
        assert_eq!(Descriptor::parse(&read.text()).unwrap().payload.get(), payload);
    }

    #[test]
    fn a_policy_is_read_as_it_was_written_and_by_who_knows_less_of_it() {
        use tasktonic_core::policy::{Action, Rule as CoreRule};
        let forms = [
            Backoff::DEFAULT,
            Backoff::Fixed { wait_ms: 70, jitter: 0.5 },
            Backoff::List { waits_ms: vec![7, 9], jitter: 0.0 },
        ];
        for form in forms {
            let text = r#"{"v":1,"k":"noop","q":"noop","at":5,"max":3,"p":{}}"#;
            let mut descriptor = Descriptor::parse(text).unwrap();
            descriptor.backoff = Some(form.clone().into());
            descriptor.rules = vec![Rule::new("http_4*", crate::policy::Action::Bury)];
            descriptor.crashes_max = Some(2);
            let read = Descriptor::parse(&descriptor.text()).unwrap();
            let expected = AttemptsPolicy {
                attempts_max: 3,
                crashes_max: 2,
                backoff: form.clone(),
                rules: vec![CoreRule { code: "http_4*".into(), action: Action::Bury }],
            };
            assert_eq!(read.attempts_policy(), expected);
            // A reader without lists has waits that begin the same.
            let plain = StoredBackoff { list_ms: Vec::new(), ..form.clone().into() };
            assert_eq!(Backoff::from(plain).wait_ms(1, 0.5), form.wait_ms(1, 0.5));
        }
    }
}
