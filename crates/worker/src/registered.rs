//! Handlers of any type side by side.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tasktonic_protocol::worker::KindRecord;

use crate::handler::{Handler, KindInfo};
use crate::{Context, Failure, Outcome};

/// A handler whose payload and output are JSON texts: what the loop holds, and what a kind that
/// is only known when the program runs implements by itself.
#[async_trait]
pub trait AnyHandler: Send + Sync + 'static {
    /// What is announced of it.
    fn record(&self) -> KindRecord;

    /// One attempt.
    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome;
}

/// A [`Handler`] as an [`AnyHandler`].
#[derive(Debug)]
pub struct Registered<H>(pub H);

#[async_trait]
impl<H: Handler> AnyHandler for Registered<H> {
    fn record(&self) -> KindRecord {
        let KindInfo {
            kind,
            title,
            description,
            attempts_max,
            crashes_max,
            backoff,
            rules,
            soft_timeout,
            timeout,
            keep,
            rewinds,
            needs,
            places,
            example,
        } = self.0.info();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        KindRecord {
            queue: kind.clone(),
            kind,
            title,
            description,
            schema: schemars::schema_for!(H::Payload).to_value(),
            attempts_max,
            crashes_max,
            backoff,
            rules: (!rules.is_empty()).then_some(rules),
            timeout_ms: timeout.map(ms),
            soft_timeout_ms: soft_timeout.map(ms),
            keep,
            rewinds,
            needs,
            places,
            example,
        }
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        run_typed(&self.0, payload, cx).await
    }
}

/// One attempt of a typed handler, from JSON to JSON.
pub(crate) async fn run_typed<H: Handler>(
    handler: &H,
    payload: &RawValue,
    cx: &Context,
) -> Outcome {
    let payload: H::Payload = match serde_json::from_str(payload.get()) {
        Ok(payload) => payload,
        // The schema let it through, so another attempt would read the same. The text names the
        // place, not the value: an error of serde may quote the payload.
        Err(error) => {
            let message = format!(
                "The payload does not fit this kind (line {}, column {}). Submit it again as the schema says.",
                error.line(),
                error.column()
            );
            return Outcome::Failed(Failure::fatal("payload_unreadable", message));
        }
    };
    match handler.run(payload, cx).await {
        Ok(output) => match serde_json::value::to_raw_value(&output) {
            Ok(output) => Outcome::Completed(output),
            Err(error) => Outcome::Failed(Failure::fatal("output_unwritable", error.to_string())),
        },
        Err(failure) => Outcome::Failed(failure),
    }
}
