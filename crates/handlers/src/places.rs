//! A handler whose tasks take as many places of a worker as the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tasktonic_protocol::worker::KindRecord;
use tasktonic_worker::{AnyHandler, Context, Outcome};

struct Sized {
    places: u32,
    handler: Arc<dyn AnyHandler>,
}

#[async_trait]
impl AnyHandler for Sized {
    fn record(&self) -> KindRecord {
        KindRecord { places: self.places, ..self.handler.record() }
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        self.handler.run_any(payload, cx).await
    }
}

/// The handler, with the places that are said of its kind.
pub(crate) fn sized(
    handler: Arc<dyn AnyHandler>,
    places: &BTreeMap<String, u32>,
) -> Arc<dyn AnyHandler> {
    match places.get(&handler.record().kind) {
        None => handler,
        Some(places) => Arc::new(Sized { places: *places, handler }),
    }
}
