//! Connections in, answers out: HTTP/1.1 and HTTP/2 with time-outs and bounds on all that a peer
//! can make us hold. It knows nothing of what is asked.

mod paced;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tasktonic_store::KillPoint;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::App;
pub(crate) use paced::Paced;

/// A request's head must be here by then, also the next one on a connection kept open.
pub(crate) const HEADER_WAIT: Duration = Duration::from_secs(10);
/// What is under way when the server stops has so long to end.
pub(crate) const DRAIN_WAIT: Duration = Duration::from_secs(10);
/// Bytes of a request's head and of the read buffer of a connection.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers the parser takes; the door refuses earlier, and explains it.
const HEADERS_MAX: usize = 200;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// An HTTP/2 peer that does not answer a ping for this long is gone.
const H2_PING: Duration = Duration::from_secs(20);
/// Pause when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long saying no to a connection may take.
const SHED_WAIT: Duration = Duration::from_secs(1);

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pause while only a part of that is there.
const PREFACE_PAUSE: Duration = Duration::from_millis(20);

const SHED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n\
    Content-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}";

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote(pub(crate) SocketAddr);

/// A connection's place among those there may be. A socket keeps it when its connection has become
/// one, so that both count towards the same limit.
#[derive(Clone)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, and given up by its end")] Arc<Taken>);

struct Taken {
    app: Arc<App>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(app: &Arc<App>, permit: OwnedSemaphorePermit) -> Self {
        app.metrics.connections(1);
        Self(Arc::new(Taken { app: app.clone(), _permit: permit }))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.app.metrics.connections(-1);
    }
}

/// Serves `router` until `stop`, then lets what is under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    app: Arc<App>,
    stop: CancellationToken,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(app.limits.connections_max));
    let connections = TaskTracker::new();
    // Nobody new comes any more: what a connection has said until then is still answered.
    let closed = CancellationToken::new();
    let builder = Arc::new(builder());
    let mut closes_at = None;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled(), if closes_at.is_none() => {
                // Sockets, waiting requests and `/readyz` hear it at once; who balances the load
                // may take a moment to send nobody here any more.
                app.stop.cancel();
                app.sockets.close();
                closes_at = Some(Instant::now() + app.limits.drain_notice);
                continue;
            }
            () = at(closes_at) => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Gone before it was taken, or no descriptor left: neither ends the server.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            app.metrics.connection_shed();
            tokio::spawn(shed(stream));
            continue;
        };
        // Frames are small and are wanted now.
        let _ = stream.set_nodelay(true);
        let (router, place) = (router.clone(), Place::new(&app, permit));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(Remote(remote));
            request.extensions_mut().insert(place.clone());
            let router = router.clone();
            async move { Ok::<_, Infallible>(answer(router, request).await) }
        });
        let (builder, closed) = (builder.clone(), closed.clone());
        connections.spawn(async move {
            let begun = tokio::select! {
                biased;
                begun = tokio::time::timeout(HEADER_WAIT, begins(&stream)) => begun == Ok(true),
                // A connection that says nothing is not waited for.
                () = closed.cancelled() => false,
            };
            if !begun {
                return;
            }
            let io = TokioIo::new(stream);
            let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
            // Told to end before it has read anything, it would close what has begun.
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = closed.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%remote, %error, "a connection broke");
            }
        });
    }
    // Nobody new can connect from here on.
    drop(listener);
    closed.cancel();
    connections.close();
    KillPoint::ServerInDrain.pass();
    let ended = async {
        tokio::join!(connections.wait(), app.sockets.wait());
    };
    if tokio::time::timeout(DRAIN_WAIT, ended).await.is_err() {
        tracing::warn!("some connections did not end in time and were cut");
    }
    Ok(())
}

/// Until then; for ever if there is no such time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn answer(router: Router, request: Request) -> axum::response::Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

/// Waits until the peer has said enough to tell HTTP/1.1 from HTTP/2: what reads that has no
/// time-out of its own. False if the peer has gone.
async fn begins(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if n < PREFACE.len() && PREFACE.starts_with(&first[..n]) => {
                tokio::time::sleep(PREFACE_PAUSE).await;
            }
            Ok(_) => return true,
        }
    }
}

/// Says that there is no room, so that the peer comes back later and does not wonder.
async fn shed(mut stream: TcpStream) {
    let _ = tokio::time::timeout(SHED_WAIT, async {
        stream.write_all(SHED).await?;
        stream.shutdown().await
    })
    .await;
}
