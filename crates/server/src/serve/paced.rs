//! A request's body that must keep coming: a peer that sends a byte now and then holds nothing of
//! ours for long.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// A body may take this long however small it is.
const GRACE: Duration = Duration::from_secs(20);
/// And then a second more for each of these bytes.
const BYTES_PER_S: u64 = 4 * 1024;

/// See the module.
pub(crate) struct Paced {
    body: Body,
    began: Instant,
    bytes: u64,
    /// Made when the body is first waited for: most requests have none.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, began: Instant::now(), bytes: 0, timer: None }
    }

    fn deadline(&self) -> Instant {
        let earned = Duration::from_millis(self.bytes.saturating_mul(1_000) / BYTES_PER_S);
        self.began + GRACE + earned.min(Duration::from_secs(24 * 3_600))
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                this.bytes = this.bytes.saturating_add(data.len() as u64);
            }
            return Poll::Ready(frame);
        }
        let deadline = this.deadline();
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        match timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let late = io::Error::new(io::ErrorKind::TimedOut, "the body came too slowly");
                Poll::Ready(Some(Err(axum::Error::new(late))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn whole(body: Paced) -> Result<Bytes, axum::Error> {
        Body::new(body).collect().await.map(http_body_util::Collected::to_bytes)
    }

    fn drip(every: Duration, piece: &'static [u8], pieces: usize) -> Body {
        let pieces = stream::unfold(0, move |at| async move {
            if at == pieces {
                return None;
            }
            tokio::time::sleep(every).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(piece)), at + 1))
        });
        Body::from_stream(pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dripping_body_ends_and_a_slow_honest_one_does_not() {
        let began = Instant::now();
        assert!(whole(Paced::new(drip(Duration::from_secs(5), b"x", 1_000))).await.is_err());
        assert!(began.elapsed() < GRACE + Duration::from_secs(2));
        let piece: &[u8] = &[0; 8 * 1024];
        let honest = whole(Paced::new(drip(Duration::from_secs(1), piece, 60))).await.unwrap();
        assert_eq!(honest.len(), 60 * 8 * 1024);
    }
}
