//! The description of a task as every store keeps it, with how it is attempted.

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use tasktonic_core::policy::{AttemptsPolicy, Backoff, CRASHES_MAX_DEFAULT, Retention};
use tasktonic_core::{Name, Text};

use crate::policy::{Rule, TaskPolicy};
use crate::priority::Priority;

/// The immutable description of a task, written once at submission. It is kept for every task that
/// waits, so what goes without saying is left out: a version of 1, and a queue that is named like
/// the kind.
#[derive(Debug, Clone, Deserialize)]
pub struct Descriptor {
    /// Version of this form.
    #[serde(default = "version")]
    pub v: u8,
    /// Kind.
    #[serde(rename = "k")]
    pub kind: String,
    /// Queue.
    #[serde(rename = "q", default)]
    pub queue: String,
    /// Wall-clock time of acceptance, ms.
    #[serde(rename = "at")]
    pub created_ms: i64,
    /// Attempts in all.
    #[serde(rename = "max")]
    pub attempts_max: u32,
    /// Waits between attempts.
    #[serde(rename = "b", default)]
    pub backoff: Option<StoredBackoff>,
    /// What follows an error of certain codes; the first that fits decides.
    #[serde(rename = "r", default)]
    pub rules: Vec<Rule>,
    /// Attempts that may end with the loss of their worker.
    #[serde(rename = "cm", default)]
    pub crashes_max: Option<u32>,
    /// The handler is told to stop after this long, ms.
    #[serde(rename = "ts", default)]
    pub soft_timeout_ms: Option<u64>,
    /// Longest run of one attempt, ms.
    #[serde(rename = "to", default)]
    pub timeout_ms: Option<u64>,
    /// Seconds kept after completion, cancellation, death.
    #[serde(rename = "keep", default)]
    pub keep_s: Option<[u32; 3]>,
    /// Not before this wall-clock time, ms.
    #[serde(rename = "due", default)]
    pub due_ms: Option<i64>,
    /// The user's labels.
    #[serde(rename = "tags", default)]
    pub tags: Vec<String>,
    /// Which of its user's tasks go first.
    #[serde(rename = "pr", default)]
    pub priority: Priority,
    /// Idempotency key, and until when the task has to be there for it (wall clock, ms); 0 where the
    /// key goes by where the task is.
    #[serde(rename = "key", default)]
    pub key: Option<(String, i64)>,
    /// The key of the tasks it may not run beside.
    #[serde(rename = "sk", default, skip_serializing_if = "Option::is_none")]
    pub serial_key: Option<String>,
    /// The schedule that made it, and at which tick (wall clock, ms), unless somebody asked for it.
    #[serde(rename = "sch", default)]
    pub schedule: Option<(String, Option<i64>)>,
    /// Its name in the flow it is a part of.
    #[serde(rename = "nm", default)]
    pub name: Option<String>,
    /// The payload, byte for byte as it came.
    #[serde(rename = "p")]
    pub payload: Box<RawValue>,
}

fn version() -> u8 {
    Descriptor::V
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // All of them by name, so that a member that is added is missed here.
        let Self {
            v,
            kind,
            queue,
            created_ms,
            attempts_max,
            backoff,
            rules,
            crashes_max,
            soft_timeout_ms,
            timeout_ms,
            keep_s,
            due_ms,
            tags,
            priority,
            key,
            serial_key,
            schedule,
            name,
            payload,
        } = self;
        let mut text = serializer.serialize_map(None)?;
        // Kind and queue come first: stores read them from a descriptor's beginning.
        if *v != Self::V {
            text.serialize_entry("v", v)?;
        }
        text.serialize_entry("k", kind)?;
        if queue != kind {
            text.serialize_entry("q", queue)?;
        }
        text.serialize_entry("at", created_ms)?;
        text.serialize_entry("max", attempts_max)?;
        if let Some(backoff) = backoff {
            text.serialize_entry("b", backoff)?;
        }
        if !rules.is_empty() {
            text.serialize_entry("r", rules)?;
        }
        if let Some(crashes_max) = crashes_max {
            text.serialize_entry("cm", crashes_max)?;
        }
        if let Some(soft_timeout_ms) = soft_timeout_ms {
            text.serialize_entry("ts", soft_timeout_ms)?;
        }
        if let Some(timeout_ms) = timeout_ms {
            text.serialize_entry("to", timeout_ms)?;
        }
        if let Some(keep_s) = keep_s {
            text.serialize_entry("keep", keep_s)?;
        }
        if let Some(due_ms) = due_ms {
            text.serialize_entry("due", due_ms)?;
        }
        if !tags.is_empty() {
            text.serialize_entry("tags", tags)?;
        }
        if !priority.is_normal() {
            text.serialize_entry("pr", priority)?;
        }
        if let Some(key) = key {
            text.serialize_entry("key", key)?;
        }
        if let Some(serial_key) = serial_key {
            text.serialize_entry("sk", serial_key)?;
        }
        if let Some(schedule) = schedule {
            text.serialize_entry("sch", schedule)?;
        }
        if let Some(name) = name {
            text.serialize_entry("nm", name)?;
        }
        text.serialize_entry("p", payload)?;
        text.end()
    }
}

/// Where the last of the bytes stands that [`queue_in`] has to see: after the version, the longest kind
/// and the longest queue.
pub const QUEUE_IN_BYTES: usize = 255;

/// The queue that the beginning of a descriptor names, or its kind where it names none. Before both
/// stands at most a number, so nothing that a user wrote can be taken for them.
#[must_use]
pub fn queue_in(beginning: &str) -> Option<Name> {
    let mut rest = beginning.strip_prefix('{')?;
    if let Some(version) = rest.strip_prefix(r#""v":"#) {
        rest = version.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(',')?;
    }
    let (kind, rest) = rest.strip_prefix(r#""k":""#)?.split_once('"')?;
    match rest.strip_prefix(r#","q":""#) {
        Some(named) => named.split_once('"')?.0.parse().ok(),
        None => kind.parse().ok(),
    }
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
        let mut read: Self = serde_json::from_str(text)?;
        if read.queue.is_empty() {
            read.queue.clone_from(&read.kind);
        }
        Ok(read)
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
    fn what_goes_without_saying_is_left_out_and_read_all_the_same() {
        let text = r#"{"k":"noop","at":5,"max":3,"p":{"q":"x"}}"#;
        let mut read = Descriptor::parse(text).unwrap();
        assert_eq!((read.v, &*read.queue, &*read.text()), (1, "noop", text));
        read.queue = "slow".into();
        let text = r#"{"k":"noop","q":"slow","at":5,"max":3,"p":{"q":"x"}}"#;
        assert_eq!(&*read.text(), text);
        assert_eq!(Descriptor::parse(text).unwrap().queue, "slow");
        read.v = 2;
        assert_eq!(Descriptor::parse(&read.text()).unwrap().v, 2);
        // As it was written before, and with all there is.
        let whole = r#"{"v":1,"k":"a","q":"b","at":5,"max":3,"b":{"base_ms":1,"factor":2.0,"max_ms":9,"jitter":0.5},"r":[{"code":"x","action":"bury"}],"cm":4,"ts":6,"to":7,"keep":[1,2,3],"due":8,"tags":["t"],"pr":"low","key":["i",9],"sch":["s",4],"p":{}}"#;
        let read = Descriptor::parse(whole).unwrap();
        assert_eq!(&*read.text(), &whole.replacen(r#""v":1,"#, "", 1));
    }

    #[test]
    fn the_queue_is_found_in_the_beginning_and_in_no_users_words() {
        let found = |text: &str| queue_in(text).map(|queue| queue.to_string());
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(found(r#"{"k":"noop","at":5,"max":3,"p":{"q":"x"},"q":"y"}"#), some("noop"));
        assert_eq!(found(r#"{"k":"noop","q":"slow","at":5,"p""#), some("slow"));
        assert_eq!(found(r#"{"v":1,"k":"noop","q":"slow","at":5"#), some("slow"));
        assert_eq!(found(r#"{"v":12,"k":"noop","at":5"#), some("noop"));
        let (kind, labels) = ("k".repeat(64), ["a", "b", "c"].map(|l| l.repeat(32)).join("+"));
        let queue = format!("{}+{labels}", "q".repeat(64));
        let text = format!(r#"{{"v":255,"k":"{kind}","q":"{queue}","at":5,"max":3,"p":{{}}}}"#);
        assert_eq!(found(&text[..=QUEUE_IN_BYTES]), Some(queue), "the longest there is");
        for none in ["", "{", r#"{"p":{"k":"a"}}"#, r#"{"v":1"#, r#"{"k":"no"#, r#"["k":"a"]"#] {
            assert_eq!(found(none), None, "{none}");
        }
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
