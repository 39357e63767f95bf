//! How many requests one user may make: the generic cell rate algorithm, in memory, bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use tasktonic_auth::Role;
use tasktonic_core::UserId;
use tasktonic_protocol::problem::Code;

use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

/// Users remembered at once. When more are busy at the same moment, those closest to their full
/// allowance are forgotten.
const USERS_MAX: usize = 100_000;
/// A worker's credential speaks for many workers: it may do this many times what a user may.
const WORKER_FACTOR: u32 = 20;

/// Requests a user may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimit {
    /// On average, per second; 0 for no limit.
    pub per_s: u32,
    /// At once, after a rest.
    pub burst: u32,
}

impl RequestLimit {
    /// Far above what a person or a well-behaved program does.
    pub const DEFAULT: Self = Self { per_s: 500, burst: 1_000 };
}

/// Counts requests per user.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: RequestLimit,
    start: Instant,
    /// The theoretical arrival time of each user's next request, since `start`.
    due: Mutex<HashMap<UserId, Duration>>,
}

impl Limiter {
    /// A limiter that has seen nobody.
    pub(crate) fn new(limit: RequestLimit) -> Self {
        Self { limit, start: Instant::now(), due: Mutex::default() }
    }

    /// Takes one request of `user` into account; how long to wait if it is one too many.
    fn check(&self, user: &UserId, factor: u32, now: Duration) -> Result<(), Duration> {
        let RequestLimit { per_s, burst } = self.limit;
        if per_s == 0 {
            return Ok(());
        }
        let step = Duration::from_secs(1) / (per_s.saturating_mul(factor));
        let reach = step * burst.max(1).saturating_mul(factor);
        let mut due = self.due.lock();
        if due.len() >= USERS_MAX && !due.contains_key(user) {
            // Whoever is due already is like somebody never seen.
            due.retain(|_, at| *at > now);
            if due.len() >= USERS_MAX {
                let soon = due.iter().min_by_key(|(_, at)| **at).map(|(user, _)| user.clone());
                soon.and_then(|user| due.remove(&user));
            }
        }
        let at = due.entry(user.clone()).or_insert(now);
        let next = (*at).max(now) + step;
        if next > now + reach {
            return Err(next - now - reach);
        }
        *at = next;
        Ok(())
    }
}

/// Lets a request of a known caller through if the caller has not made too many.
pub(super) async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else {
        // The door lets nobody in without a caller; this is the second lock.
        return Refusal::unsigned().into_response();
    };
    let factor = match caller.0.role {
        Role::Worker | Role::Service => WORKER_FACTOR,
        _ => 1,
    };
    let now = app.api.requests.start.elapsed();
    if let Err(wait) = app.api.requests.check(&caller.0.user, factor, now) {
        let seconds = wait.as_secs() + 1;
        let RequestLimit { per_s, .. } = app.api.requests.limit;
        let detail = format!(
            "At most {per_s} requests a second. Wait {seconds} s; the socket tells you of changes \
             without asking, and batches take many tasks at once."
        );
        return Refusal::new(Code::TooManyRequests, detail).retry_after(seconds).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limiter(per_s: u32, burst: u32) -> Limiter {
        Limiter::new(RequestLimit { per_s, burst })
    }

    #[test]
    fn a_burst_passes_and_one_more_does_not() {
        let (limiter, user) = (limiter(10, 5), UserId::encode("ana"));
        let now = Duration::from_secs(9);
        for _ in 0..5 {
            assert_eq!(limiter.check(&user, 1, now), Ok(()));
        }
        assert_eq!(limiter.check(&user, 1, now), Err(Duration::from_millis(100)));
        assert_eq!(limiter.check(&UserId::encode("ben"), 1, now), Ok(()));
        assert_eq!(limiter.check(&user, 1, now + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn users_beyond_the_limit_of_memory_are_let_in() {
        let limiter = limiter(1, 1);
        for n in 0..USERS_MAX + 50 {
            let now = Duration::from_secs(1 + n as u64);
            assert_eq!(limiter.check(&UserId::encode(&n.to_string()), 1, now), Ok(()));
        }
        assert!(limiter.due.lock().len() <= USERS_MAX);
    }

    proptest! {
        #[test]
        fn no_window_lets_more_through_than_burst_and_rate(
            gaps in prop::collection::vec(0_u64..300, 1..200), per_s in 1_u32..50, burst in 1_u32..20,
        ) {
            let (limiter, user) = (limiter(per_s, burst), UserId::encode("ana"));
            let (mut now, mut passed) = (0, 0_u64);
            for gap in gaps {
                now += gap;
                let at = Duration::from_millis(now);
                passed += u64::from(limiter.check(&user, 1, at).is_ok());
                prop_assert!(passed * 1_000 <= u64::from(burst) * 1_000 + now * u64::from(per_s) + 1_000);
            }
        }
    }
}
