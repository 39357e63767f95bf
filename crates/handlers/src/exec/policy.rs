//! What a declaration says of attempts: the words of the configuration, where a time is written like
//! `"90s"`, as the members of a kind's record.

use serde::Deserialize;
use tasktonic_protocol::policy::{
    Action, Backoff, KEEP_S_MAX, KEEP_S_MIN, Keep, Rule, WAIT_MS_MAX,
};
use tasktonic_protocol::problem::FieldError;
use tasktonic_protocol::time::parse_duration_ms;

/// `{ wait = "5s" }`, `{ waits = ["1s", "1m"] }` or `{ base = "2s", factor = 2, max = "10m" }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredBackoff {
    wait: Option<String>,
    waits: Option<Vec<String>>,
    base: Option<String>,
    factor: Option<f64>,
    max: Option<String>,
    jitter: Option<f64>,
}

/// `{ code = "busy", action = "again_after", after = "30s" }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredRule {
    code: String,
    action: Action,
    after: Option<String>,
    backoff: Option<DeclaredBackoff>,
}

/// `{ completed = "1h", failed = "30d" }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredKeep {
    completed: Option<String>,
    cancelled: Option<String>,
    failed: Option<String>,
}

fn ms(name: &str, text: &str) -> Result<u64, String> {
    parse_duration_ms(text).ok_or_else(|| {
        format!(
            "{name} = {text:?} is no length of time; write it like \"90s\", \"5m\" or \"1h 30m\""
        )
    })
}

/// A limit of time: longer than nothing.
pub(super) fn limit_ms(name: &str, text: &str) -> Result<u64, String> {
    match ms(name, text)? {
        0 => Err(format!("{name} must be longer than nothing; leave it out for no limit")),
        limit_ms => Ok(limit_ms),
    }
}

impl DeclaredBackoff {
    pub(super) fn backoff(self) -> Result<Backoff, String> {
        const FORMS: &str = "backoff says `wait`, `waits`, or some of `base`, `factor` and `max`";
        let Self { wait, waits, base, factor, max, jitter } = self;
        let jitter = jitter.unwrap_or(tasktonic_core::policy::Backoff::JITTER_DEFAULT);
        let grows = base.is_some() || factor.is_some() || max.is_some();
        let backoff = match (wait, waits, grows) {
            (Some(wait), None, false) => Backoff::Fixed { wait_ms: ms("wait", &wait)?, jitter },
            (None, Some(waits), false) => {
                let waits_ms =
                    waits.iter().map(|wait| ms("waits", wait)).collect::<Result<_, _>>()?;
                Backoff::List { waits_ms, jitter }
            }
            (None, None, true) => {
                let default = tasktonic_core::policy::Backoff::DEFAULT.into();
                let Backoff::Exponential { base_ms, factor: by, max_ms, .. } = default else {
                    unreachable!("the default grows")
                };
                Backoff::Exponential {
                    base_ms: base.map_or(Ok(base_ms), |base| ms("base", &base))?,
                    factor: factor.unwrap_or(by),
                    max_ms: max.map_or(Ok(max_ms), |max| ms("max", &max))?,
                    jitter,
                }
            }
            (None, None, false) => return Err(FORMS.into()),
            _ => return Err(format!("{FORMS}: one of them")),
        };
        Ok(backoff)
    }
}

impl DeclaredRule {
    pub(super) fn rule(self) -> Result<Rule, String> {
        let Self { code, action, after, backoff } = self;
        Ok(Rule {
            code,
            action,
            after_ms: after.map(|after| ms("after", &after)).transpose()?,
            backoff: backoff.map(DeclaredBackoff::backoff).transpose()?,
        })
    }
}

impl DeclaredKeep {
    pub(super) fn keep(self) -> Result<Keep, String> {
        let seconds = |name: &str, text: Option<String>| match text {
            // What is too long for a number is too long for the bounds as well.
            Some(text) => {
                ms(name, &text).map(|ms| Some(u32::try_from(ms / 1_000).unwrap_or(u32::MAX)))
            }
            None => Ok(None),
        };
        Ok(Keep {
            completed_s: seconds("completed", self.completed)?,
            cancelled_s: seconds("cancelled", self.cancelled)?,
            failed_s: seconds("failed", self.failed)?,
        })
    }
}

/// A fault of a kind's record in the words of the configuration, whose names have no units.
pub(super) fn as_declared(fault: &FieldError) -> String {
    let place = fault.pointer.trim_start_matches('/').replace('/', ".");
    let place = place.trim_end_matches("_ms").trim_end_matches("_s").replace("_ms.", ".");
    let bounds = |least: &str, most: u64| format!("is {least} to {most}");
    let detail = match &*fault.detail {
        detail if detail == bounds("0", WAIT_MS_MAX) => "is 0s to 30d".to_owned(),
        detail if detail == bounds(&KEEP_S_MIN.to_string(), KEEP_S_MAX.into()) => {
            "is 1min to 366d".to_owned()
        }
        detail if place == "timeout" || place == "soft_timeout" => {
            if detail.starts_with("is ") {
                "is at most 7d".into()
            } else {
                "has to be below timeout".into()
            }
        }
        detail => detail.to_owned(),
    };
    format!("{place} {detail}")
}
