//! The built-in kind `tasktonic.bulk`: cancels, sends back or removes many tasks of one user, as a
//! task of that user. It never knows HTTP, nor which store there is.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tasktonic_protocol::http::{BULK_KIND, BulkDone, BulkPayload, BulkVerb};
use tasktonic_protocol::worker::KindRecord;
use tasktonic_store::bulk::{CHUNK, Selection};
use tasktonic_store::clock::Clock;
use tasktonic_store::{Error, Store};
use tasktonic_worker::{AnyHandler, Context, Failure, Outcome};
use tokio::time::Instant;

/// Attempts of one operation. Each goes on where the one before stopped, and only a store that does
/// not answer ends one.
pub const ATTEMPTS_MAX: u32 = 25;
/// For so many times as long as a step of an operation took, the next one is not begun: an operation may
/// take longer, tasks that people wait for may not.
const REST: u32 = 3;

/// The handler.
pub struct Bulk {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Bulk {
    /// Over the tasks of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    async fn run(&self, payload: &RawValue, cx: &Context) -> Result<BulkDone, Failure> {
        let order: BulkPayload = serde_json::from_str(payload.get())
            .map_err(|error| Failure::fatal("payload_unreadable", error.to_string()))?;
        let before = cx.task();
        let selection = Selection::of(order.verb, &order.filter, cx.user().clone(), before)
            .map_err(|text| Failure::fatal("filter_invalid", text))?;
        cx.progress(0, 0, "tasks", Some("counting".to_owned()));
        let total = self.count(&selection, cx).await?;
        let mut done = BulkDone::default();
        tell(cx, &done, total);
        let mut cursor = None;
        loop {
            let page = politely(selection.page(&*self.store, cursor)).await;
            let page = self.answered(page, cx, &done)?;
            for chunk in page.tasks.chunks(CHUNK) {
                self.go_on(cx, &done, total)?;
                let now_ms = self.clock.now_ms();
                let changed = politely(selection.carry_out(&*self.store, now_ms, chunk)).await;
                let BulkDone { changed, asked, skipped } = self.answered(changed, cx, &done)?;
                done.changed += changed;
                done.asked += asked;
                done.skipped += skipped;
                tell(cx, &done, total);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            self.go_on(cx, &done, total)?;
        }
        cx.info(said(order.verb, &done));
        Ok(done)
    }

    async fn count(&self, selection: &Selection, cx: &Context) -> Result<u64, Failure> {
        let (mut total, mut cursor) = (0, None);
        let none = BulkDone::default();
        loop {
            let page = politely(selection.page(&*self.store, cursor)).await;
            let page = self.answered(page, cx, &none)?;
            total += page.tasks.len() as u64;
            cursor = page.next;
            if cursor.is_none() {
                return Ok(total);
            }
            self.go_on(cx, &none, total)?;
        }
    }

    /// Whether it was aborted, or has to stop here.
    fn go_on(&self, cx: &Context, done: &BulkDone, total: u64) -> Result<(), Failure> {
        if !cx.is_cancelled() {
            return Ok(());
        }
        cx.info(format!("Stopped with {} of {total} tasks changed.", done.changed));
        Err(Failure::Cancelled)
    }

    /// A store that does not answer ends the attempt. The next one finds what is left.
    fn answered<T>(
        &self,
        answer: tasktonic_store::Result<T>,
        cx: &Context,
        done: &BulkDone,
    ) -> Result<T, Failure> {
        answer.map_err(|error: Error| {
            cx.info(format!("{} tasks changed by this attempt.", done.changed));
            Failure::attempt("store_unavailable", error.to_string())
        })
    }
}

/// Asks the store, and then leaves it to others for [`REST`] times as long as that took: longer where
/// it is busy.
async fn politely<T>(asked: impl Future<Output = T>) -> T {
    let since = Instant::now();
    let answer = asked.await;
    tokio::time::sleep(since.elapsed() * REST).await;
    answer
}

fn tell(cx: &Context, done: &BulkDone, total: u64) {
    // What began to match meanwhile counts too: the bar does not go above its end.
    let so_far = done.changed + done.skipped;
    cx.progress(so_far, total.max(so_far), "tasks", None);
}

fn said(verb: BulkVerb, done: &BulkDone) -> String {
    let BulkDone { changed, asked, skipped } = done;
    let tasks = if *changed == 1 { "task" } else { "tasks" };
    let mut text = match verb {
        BulkVerb::Cancel => format!("{changed} {tasks} stopped"),
        BulkVerb::Retry => format!("{changed} {tasks} sent back"),
        BulkVerb::Purge => format!("{changed} {tasks} removed"),
    };
    if *asked > 0 {
        text.push_str(&format!(", {asked} of them by asking their worker"));
    }
    if *skipped > 0 {
        text.push_str(&format!("; {skipped} had changed meanwhile"));
    }
    text.push('.');
    text
}

#[async_trait]
impl AnyHandler for Bulk {
    fn record(&self) -> KindRecord {
        KindRecord {
            title: Some("Change many tasks".into()),
            description: Some("Cancels, sends back or removes all tasks that match.".into()),
            schema: json!({ "type": "object" }),
            attempts_max: ATTEMPTS_MAX,
            ..KindRecord::new(BULK_KIND)
        }
    }

    async fn run_any(&self, payload: &RawValue, cx: &Context) -> Outcome {
        match self.run(payload, cx).await {
            Ok(done) => match to_raw_value(&done) {
                Ok(output) => Outcome::Completed(output),
                Err(error) => {
                    Outcome::Failed(Failure::fatal("output_unwritable", error.to_string()))
                }
            },
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_an_answer_the_store_has_three_times_as_long_for_others_as_it_took() {
        for took in [3, 250].map(Duration::from_millis) {
            let since = Instant::now();
            let answer = politely(async {
                tokio::time::sleep(took).await;
                7
            });
            assert_eq!(answer.await, 7);
            assert_eq!(since.elapsed(), took * 4);
        }
    }
}
