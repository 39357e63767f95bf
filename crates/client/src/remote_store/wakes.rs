//! Wakes of a remote worker: one request that the server holds back until there is something to
//! look at, then the next. The server keeps what happens between two of them.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tasktonic_core::WorkerId;
use tasktonic_core::limits::LEASE_MS_DEFAULT;
use tasktonic_protocol::worker::{SyncRequest, V, WAIT_MS_MAX};
use tasktonic_store::{Result, Wake, WakeStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{PARTITION, leases, queues, store_error};
use crate::remote_store::engine::{Engine, Stop};
use crate::{Client, Pauses};

/// Wakes that may wait for a worker that does not listen; then no more are asked for.
const WAKES_WAITING_MAX: usize = 64;
/// An empty answer that came sooner was not held back: the next request waits a little.
const HELD_AT_LEAST: Duration = Duration::from_secs(1);

/// Wakes for `worker`, from now on.
pub(super) fn listen(engine: &Engine, worker: &WorkerId) -> WakeStream {
    let (sender, receiver) = mpsc::channel(WAKES_WAITING_MAX);
    let request = waiting(worker);
    let service = engine.start_service(|client| serve(client, request, sender));
    let guarded = Guarded {
        receiver: ReceiverStream::new(receiver),
        _service: service,
        _engine: engine.clone(),
    };
    Box::pin(futures_util::stream::unfold(guarded, |mut guarded| async move {
        let wake = guarded.receiver.next().await?;
        Some((wake, guarded))
    }))
}

struct Guarded {
    receiver: ReceiverStream<Wake>,
    // Ends the requests with the stream; the thread they run on must live as long.
    _service: Stop,
    _engine: Engine,
}

/// A request that claims nothing, says nothing, and waits.
fn waiting(worker: &WorkerId) -> SyncRequest {
    SyncRequest {
        v: V,
        worker: worker.to_string(),
        call: 0,
        lease_ms: LEASE_MS_DEFAULT,
        ops: Vec::new(),
        claim: None,
        woken: Vec::new(),
        park: false,
        wait_ms: WAIT_MS_MAX,
        partly: true,
    }
}

async fn serve(client: Client, request: SyncRequest, wakes: mpsc::Sender<Wake>) {
    let mut pauses = Pauses::default();
    let mut has_failed = false;
    loop {
        let asked = Instant::now();
        let answered = ask(&client, &request).await;
        let is_ok = answered.is_ok();
        let mut found = answered.unwrap_or_else(|error| {
            if !has_failed {
                tracing::warn!(%error, "waiting for work failed; asking again");
            }
            Vec::new()
        });
        let is_early = found.is_empty() && asked.elapsed() < HELD_AT_LEAST;
        // When it begins to fail, and when that is over, anything may have been missed.
        if has_failed == is_ok {
            found.push(Wake::Lagged);
        }
        has_failed = !is_ok;
        for wake in found {
            if wakes.send(wake).await.is_err() {
                return;
            }
        }
        if has_failed || is_early {
            tokio::time::sleep(pauses.pause()).await;
        } else {
            pauses = Pauses::default();
        }
    }
}

async fn ask(client: &Client, request: &SyncRequest) -> Result<Vec<Wake>> {
    let answer = client.worker_sync(request).await.map_err(store_error)?;
    let work = queues(&answer.woken)?.into_iter().map(|queue| Wake::Work(PARTITION, queue));
    let cancels = leases(&answer.cancelled)?.into_iter().map(Wake::Cancel);
    let lagged = answer.lagged.then_some(Wake::Lagged);
    Ok(work.chain(cancels).chain(lagged).collect())
}
