//! `noop`: does nothing, for as long as asked. For trying things out, for measuring, and for tests
//! that need failures they can foretell.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tasktonic_worker::{Context, Failure, Handler, KindInfo};
use xxhash_rust::xxh3::xxh3_64;

/// The kind.
pub const KIND: &str = "noop";
/// Longest sleep, ms: one hour.
pub const SLEEP_MS_MAX: u64 = 3_600_000;
/// Most steps of progress.
pub const STEPS_MAX: u32 = 10_000;

/// The handler.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

/// What it is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// How long the attempt takes.
    #[serde(default)]
    #[schemars(title = "Duration (ms)", range(max = SLEEP_MS_MAX))]
    sleep_ms: u64,
    /// Which part of the attempts fails, 0 to 1. Whether one does depends on the task's id and the attempt's number only.
    #[serde(default)]
    #[schemars(title = "Share of failures", range(min = 0.0, max = 1.0))]
    fail_rate: f64,
    /// How many times progress is reported, spread over the duration.
    #[serde(default)]
    #[schemars(title = "Steps of progress", range(max = STEPS_MAX))]
    progress_steps: u32,
}

/// What it did.
#[derive(Debug, Serialize)]
pub struct Output {
    /// How long it slept, ms.
    pub slept_ms: u64,
    /// In which attempt it came through.
    pub attempt: u32,
}

#[async_trait]
impl Handler for Noop {
    type Payload = Payload;
    type Output = Output;

    fn info(&self) -> KindInfo {
        KindInfo {
            title: Some("Do nothing".into()),
            description: Some(
                "Takes a while, reports progress and fails as often as you ask. Good for trying things out.".into(),
            ),
            example: Some(json!({ "sleep_ms": 10_000, "progress_steps": 20 })),
            ..KindInfo::new(KIND)
        }
    }

    async fn run(&self, payload: Payload, cx: &Context) -> Result<Output, Failure> {
        let Payload { sleep_ms, fail_rate, progress_steps } = payload;
        let steps = progress_steps.clamp(1, STEPS_MAX);
        let step = Duration::from_millis(sleep_ms.min(SLEEP_MS_MAX)) / steps;
        for done in 1..=steps {
            if cx.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            if !step.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(step) => {}
                    () = cx.cancelled() => return Err(Failure::Cancelled),
                }
            }
            if progress_steps > 0 {
                cx.progress(done.into(), steps.into(), "steps", None);
            }
        }
        if fails(&cx.task().to_bytes(), cx.attempt(), fail_rate) {
            return Err(Failure::attempt(
                "noop_failed",
                "This attempt failed because you asked for failures.",
            ));
        }
        Ok(Output { slept_ms: sleep_ms, attempt: cx.attempt() })
    }
}

/// Whether this attempt fails: the same answer whenever asked.
fn fails(task: &[u8], attempt: u32, rate: f64) -> bool {
    let hash = xxh3_64(&[task, &attempt.to_le_bytes()].concat());
    // The upper 53 bits as a number from 0 up to, not including, 1.
    let drawn = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    drawn < rate
}

#[cfg(test)]
mod tests {
    use tasktonic_worker::testing::Attempt;

    use super::*;

    #[tokio::test]
    async fn an_empty_payload_completes_at_once() {
        let ran = Attempt::new(json!({})).run(&Noop).await;
        assert_eq!(ran.output(), json!({ "slept_ms": 0, "attempt": 1 }));
        assert!(ran.progress.is_empty());
    }

    #[tokio::test]
    async fn progress_comes_in_the_steps_asked_for() {
        let ran = Attempt::new(json!({ "sleep_ms": 8, "progress_steps": 4 })).run(&Noop).await;
        let seen: Vec<_> = ran.progress.iter().map(|p| (p.done, p.total)).collect();
        assert_eq!(seen, [(1, 4), (2, 4), (3, 4), (4, 4)]);
    }

    #[tokio::test]
    async fn it_stops_when_cancelled() {
        let attempt = Attempt::new(json!({ "sleep_ms": SLEEP_MS_MAX }));
        attempt.cancel_token().cancel();
        assert_eq!(attempt.run(&Noop).await.failure(), &Failure::Cancelled);
    }

    #[test]
    fn failures_come_as_often_as_asked_and_can_be_foretold() {
        for rate in [0.0, 0.1, 0.5, 1.0] {
            let count = |salt: u32| {
                (0..20_000_u32).filter(|n| fails(&(n + salt).to_le_bytes(), 1, rate)).count()
            };
            let share = count(0) as f64 / 20_000.0;
            assert!((share - rate).abs() < 0.02, "{rate} gave {share}");
            assert_eq!(count(0), count(0));
        }
    }
}
