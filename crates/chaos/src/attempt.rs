//! The program behind the kind of a run: says in the history that it began and that it did its
//! work, with the fence of its claim. It does not care whether its worker still lives: what it does
//! to the world is done, as with any program.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::history::{Line, Op, Phase, Recorder};

/// The environment variable that names the history.
pub(crate) const HISTORY: &str = "CHAOS_HISTORY";
/// The environment variable that names the worker.
pub(crate) const WORKER: &str = "CHAOS_WORKER";
/// The code of a failure that the payload asks for.
pub(crate) const ASKED: &str = "chaos_asked";
/// Exit status of an attempt that fails.
const FAILED: u8 = 1;

/// What goes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// Which intent to have a task.
    pub(crate) nonce: String,
    /// Which edit of it.
    pub(crate) version: u32,
    /// How long an attempt takes, ms.
    pub(crate) ms: u64,
    /// In how many steps.
    pub(crate) steps: u64,
    /// Attempts below this number fail.
    pub(crate) good_from: u32,
    /// Whether a failure is final.
    pub(crate) fatal: bool,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    /// The fence under which it was made.
    pub(crate) fence: u64,
}

/// The fence that a text of an attempt begins with.
pub(crate) fn fence_of(text: &str) -> Option<u64> {
    text.strip_prefix("fence ")?.split(' ').next()?.parse().ok()
}

/// Runs one attempt.
pub(crate) fn attempt() -> Result<u8> {
    let number = |name: &str| -> Result<u64> {
        std::env::var(name)
            .with_context(|| name.to_owned())?
            .parse()
            .with_context(|| name.to_owned())
    };
    let fence = number("TASKTONIC_FENCE")?;
    let count = u32::try_from(number("TASKTONIC_ATTEMPT")?)?;
    let history = std::env::var_os(HISTORY).context("no history is named")?;
    let recorder = Recorder::open(history.as_ref())?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let payload: Payload = serde_json::from_str(&text).context("the payload")?;

    let worker = std::env::var(WORKER).unwrap_or_default();
    let task = std::env::var("TASKTONIC_TASK").context("no task is named")?;
    let line = |op| Line {
        task: Some(task.clone()),
        nonce: Some(payload.nonce.clone()),
        version: Some(payload.version),
        token: Some(fence),
        attempt: Some(count),
        ..Line::new(worker.clone(), op, Phase::Ok)
    };
    recorder.say(&line(Op::Start));
    say(&json!({ "log": { "text": format!("fence {fence} begins") } }));
    for done in 1..=payload.steps {
        std::thread::sleep(Duration::from_millis(payload.ms / payload.steps.max(1)));
        let note = format!("fence {fence}");
        say(&json!({ "progress": { "done": done, "total": payload.steps, "note": note } }));
    }
    if count < payload.good_from {
        let message = format!("fence {fence} fails as asked");
        say(&json!({ "error": { "code": ASKED, "message": message, "final": payload.fatal } }));
        return Ok(FAILED);
    }
    recorder.say(&line(Op::Commit));
    say(&json!({ "output": Output { fence } }));
    Ok(0)
}

/// Prints a line; a worker that is gone hears nothing.
fn say(value: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_read_from_the_texts_of_an_attempt_and_no_others() {
        assert_eq!(fence_of("fence 4294967297"), Some(4_294_967_297));
        assert_eq!(fence_of("fence 7 fails as asked"), Some(7));
        assert_eq!(fence_of("exec ended"), None);
        assert_eq!(fence_of("fence x"), None);
    }
}
