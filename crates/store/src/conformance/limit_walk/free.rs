//! The end of the walk: when all has ended, every place is free again, and no more than every place.

use tasktonic_core::limits::{CLAIM_MAX, SYNC_OPS_MAX};

use super::{Lane, Limits, QUEUES, Walk};

/// Tasks of each lane that wait when places are counted, more than any limit lets run.
const WAITING: usize = 5;
/// What is set then: over all users of the first queue, of each user in the second and the third, and of one
/// user in the third.
const TOTAL: u32 = 7;
const EACH: u32 = 2;
const EACH_OF_THIRD: u32 = 1;
const OWN: u32 = 4;
/// Rounds in which all that is left must end.
const ROUNDS_MAX: u32 = 2_000;

impl Walk<'_> {
    /// When all has ended nothing is counted any more, and as many can be started as each limit says.
    pub(super) async fn frees_every_place(&mut self) {
        // Wide limits and not none: without one nothing would be counted, and what was counted too much
        // would be forgotten.
        let wide = [Some(10_000); QUEUES.len()];
        self.set(Limits { total: wide, each: wide, ..Limits::default() }).await;
        self.end_all().await;
        for lane in self.lanes() {
            self.assert_counted(lane).await;
        }

        let total = [Some(TOTAL), None, None];
        let each = [None, Some(EACH), Some(EACH_OF_THIRD)];
        self.set(Limits { total, each, own: [((0, 2), OWN)].into() }).await;
        for lane in self.lanes() {
            let p = self.users[lane.0].p;
            self.submit_to(p, vec![lane; WAITING], u32::MAX).await;
        }
        self.starts_at_once().await;
        for queue in 0..QUEUES.len() {
            self.starts_in_time(queue).await;
        }
        // Once more, for nothing: all places are taken.
        for p in self.partitions() {
            let reply = self.call(p, "w1", Vec::new(), CLAIM_MAX).await;
            assert_eq!(reply.claimed, Vec::new());
        }
        let runs = self.runs();
        assert_eq!(self.runs_in(0), TOTAL, "of the first queue, over all users");
        for user in 0..self.users.len() {
            let running = [1, 2].map(|queue| runs.get(&(user, queue)).copied().unwrap_or(0));
            let third = if user == 0 { OWN } else { EACH_OF_THIRD };
            assert_eq!(running, [EACH, third], "of {}", self.users[user].name);
        }
        for lane in self.lanes() {
            self.assert_counted(lane).await;
        }

        self.set(Limits::default()).await;
        self.end_all().await;
    }

    fn lanes(&self) -> Vec<Lane> {
        let of = |user| (0..QUEUES.len()).map(move |queue| (user, queue));
        (0..self.users.len()).flat_map(of).collect()
    }

    /// Sets all limits anew.
    async fn set(&mut self, limits: Limits) {
        let before = std::mem::replace(&mut self.limits, limits);
        self.set_queues().await;
        for lane in self.lanes() {
            if before.own.get(&lane) != self.limits.own.get(&lane) {
                self.set_user(lane).await;
            }
        }
    }

    /// Runs all there is to its end; what silent workers had is taken over in its time.
    async fn end_all(&mut self) {
        let mut rounds = 0;
        while !self.running.is_empty() || !self.waiting.is_empty() {
            rounds += 1;
            let (running, waiting) = (self.running.len(), self.waiting.len());
            assert!(rounds < ROUNDS_MAX, "{waiting} wait and {running} run for ever");
            for p in self.partitions() {
                let mut runs = self.at_work(p);
                runs.truncate(SYNC_OPS_MAX / 2);
                let ends = runs.into_iter().map(|task| self.success(task)).collect();
                self.call(p, "w1", ends, CLAIM_MAX).await;
            }
            self.pass().await;
        }
    }
}
