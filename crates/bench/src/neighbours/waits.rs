//! How long one user's tasks wait while another is busy.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tasktonic_client::{Client, Socket};
use tasktonic_protocol::http::{BulkFilter, BulkVerb, Counts, QueueUserChange, RateChange};

use super::report::{Load, Spread, Store, Wait};
use super::stage::{User, fill, lift_limits, operator, pause};
use crate::Options;
use crate::figures::Times;
use crate::pickup;
use crate::product::{KIND, Product};

/// Attempts at once.
pub(crate) const PLACES: usize = 8;
/// How long a task of the busy user takes: so short that waiting for a place is not all that is
/// measured, so long that the places are what is scarce and not the machine.
pub(crate) const TASK_MS: u64 = 5;
/// The same where they do not all take equally long, and just as long on average.
pub(crate) const MIXED_MS: RangeInclusive<u64> = 1..=9;
/// The longest pause between two tasks of the user who waits, ms.
pub(crate) const PAUSE_MS_MAX: u64 = 25;
/// Serial keys that a long queue is spread over.
pub(crate) const KEYS: usize = 1_000;
/// What a rate lets start each second.
pub(crate) const RATE_PER_S: u32 = 50;
/// Tasks that wait of a busy user, and of one whose rate holds them back.
const WAITING: usize = 100_000;
const WAITING_RATE: usize = 10_000;
/// Tasks that are timed, so many that p99 is not made by two or three of them, and those before them
/// that are not.
const TIMED: usize = 1_500;
const WARM: usize = 30;
/// Bulk operations at most, for as many tasks.
const ROUNDS_MAX: usize = 6;
/// A bulk operation that has not ended after so long is stuck.
const BULK_WITHIN: Duration = Duration::from_secs(300);

/// How much is done of it.
#[derive(Clone, Copy)]
struct Amount {
    waiting: usize,
    timed: usize,
    warm: usize,
}

impl Amount {
    fn of(load: Load, is_quick: bool) -> Self {
        let waiting = if load == Load::Rate { WAITING_RATE } else { WAITING };
        if is_quick {
            Self { waiting: waiting / 10, timed: 30, warm: 3 }
        } else {
            Self { waiting, timed: TIMED, warm: WARM }
        }
    }
}

/// The user who waits.
struct Waiting {
    client: Client,
    socket: Socket,
    /// How many tasks of theirs there were: pauses go by it.
    count: u64,
}

impl Waiting {
    /// One task, and a pause after it.
    async fn one(&mut self) -> Result<Duration> {
        let seen = pickup::one(&self.client, &mut self.socket).await?;
        self.count += 1;
        tokio::time::sleep(pause_after(self.count)).await;
        Ok(seen.running)
    }

    async fn some(&mut self, count: usize) -> Result<Times> {
        let mut times = Times::default();
        for _ in 0..count {
            times.add(self.one().await?);
        }
        Ok(times)
    }
}

/// The pause after the task of this number: all lengths up to the longest come equally often, and
/// no two in a row are alike, so that tasks meet the others' at any moment of theirs. The same in
/// each run.
fn pause_after(number: u64) -> Duration {
    let golden = (number as f64 * 0.618_033_988_75).fract();
    Duration::from_millis(PAUSE_MS_MAX).mul_f64(golden)
}

pub(crate) async fn measure(
    options: &Options,
    scratch: &Path,
    store: Store,
    load: Load,
) -> Result<Wait> {
    let amount = Amount::of(load, options.quick);
    let folder = tempfile::tempdir_in(scratch).context("a folder for a product")?;
    let places = PLACES.to_string();
    let mut more = vec!["--concurrency", &places];
    if store == Store::Redis {
        more.push("--redis");
    }
    let product = Product::start(options, folder.path(), &more).await?;
    product.wait_for_kind().await?;
    let operator = operator(&product).await?;
    lift_limits(&operator).await?;
    let busy = User::new(&product, "bench-busy").await?;
    let User { client, .. } = User::new(&product, "bench-waits").await?;
    let socket = pickup::watching(&client).await?;
    let mut waiting = Waiting { client, socket, count: 0 };

    waiting.some(amount.warm).await?;
    let alone = waiting.some(amount.timed).await?;
    let (beside, others_per_s) = match load {
        Load::Queue | Load::MixedQueue | Load::SerialKeys | Load::MixedKeys => {
            beside_queue(&product, &operator, &busy, &mut waiting, amount, load).await?
        }
        Load::Rate => beside_rate(&product, &operator, &busy, &mut waiting, amount).await?,
        Load::Bulk => beside_bulk(&product, &operator, &busy, &mut waiting, amount).await?,
    };
    // What still waits would only be worked off.
    product.kill().await?;
    let limit_ms = load.bound() * alone.percentile_ms(99.0);
    let within = beside.share_within(limit_ms);
    let (alone, beside) = (Spread::of(&alone), Spread::of(&beside));
    let waiting = amount.waiting as u64;
    Ok(Wait { store, load, waiting, others_per_s, alone, beside, within })
}

/// Beside a queue of so many tasks, of which as many run as there are places.
async fn beside_queue(
    product: &Product,
    operator: &Client,
    busy: &User,
    waiting: &mut Waiting,
    amount: Amount,
    load: Load,
) -> Result<(Times, f64)> {
    let keys = if matches!(load, Load::SerialKeys | Load::MixedKeys) { KEYS } else { 0 };
    let lengths_ms = match load {
        Load::MixedQueue | Load::MixedKeys => MIXED_MS,
        _ => TASK_MS..=TASK_MS,
    };
    // It fills faster than it would be worked off, but not so much faster.
    pause(operator, busy, true).await?;
    fill(product, &busy.token, amount.waiting, lengths_ms, keys).await?;
    pause(operator, busy, false).await?;
    waiting.some(amount.warm).await?;
    timed(busy, waiting, amount).await
}

/// Beside a queue whose owner's rate lets little of it start.
async fn beside_rate(
    product: &Product,
    operator: &Client,
    busy: &User,
    waiting: &mut Waiting,
    amount: Amount,
) -> Result<(Times, f64)> {
    let rate = RateChange { tasks: RATE_PER_S, per_ms: 1_000, burst: None };
    let user = busy.name.to_owned();
    let change = QueueUserChange { user, rate: Some(Some(rate)), ..QueueUserChange::default() };
    operator.set_queue_user(KIND, &change).await.context("setting a user's rate")?;
    fill(product, &busy.token, amount.waiting, TASK_MS..=TASK_MS, 0).await?;
    waiting.some(amount.warm).await?;
    timed(busy, waiting, amount).await
}

/// Times tasks while the other's queue is not empty.
async fn timed(busy: &User, waiting: &mut Waiting, amount: Amount) -> Result<(Times, f64)> {
    let first = busy.client.counts().await?;
    let since = Instant::now();
    let times = waiting.some(amount.timed).await?;
    let took = since.elapsed();
    let last = busy.client.counts().await?;
    let Counts { completed, queued, failed, .. } = last;
    anyhow::ensure!(failed == 0, "{failed} tasks of the other user failed");
    anyhow::ensure!(
        queued > 0,
        "the other user's {} tasks were done before the time was over; there must be more",
        amount.waiting
    );
    Ok((times, (completed - first.completed) as f64 / took.as_secs_f64()))
}

/// While all tasks of the other user, none of which starts, are cancelled by one operation; again
/// until enough were timed.
async fn beside_bulk(
    product: &Product,
    operator: &Client,
    busy: &User,
    waiting: &mut Waiting,
    amount: Amount,
) -> Result<(Times, f64)> {
    pause(operator, busy, true).await?;
    let (mut times, mut cancelled, mut took) = (Times::default(), 0, Duration::ZERO);
    for _ in 0..ROUNDS_MAX {
        fill(product, &busy.token, amount.waiting, TASK_MS..=TASK_MS, 0).await?;
        let filter = BulkFilter { queue: Some(KIND.into()), ..BulkFilter::default() };
        let before = busy.client.counts().await?;
        let since = Instant::now();
        let operation = busy.client.bulk(BulkVerb::Cancel, filter).await?;
        let within = Some(BULK_WITHIN);
        let mut ends = std::pin::pin!(busy.client.wait_until_ended(&operation.id, within));
        let ended = loop {
            // A task that has begun is seen to its end; only those that began meanwhile count.
            let one = waiting.one();
            let mut one = std::pin::pin!(one);
            let ended = tokio::select! {
                seen = &mut one => { times.add(seen?); continue }
                ended = &mut ends => ended?,
            };
            took += since.elapsed();
            one.await?;
            break ended;
        };
        let status = ended.status.name();
        anyhow::ensure!(status == "completed", "the bulk operation ended {status}");
        let after = busy.client.counts().await?;
        anyhow::ensure!(after.queued == 0, "{} tasks were not cancelled", after.queued);
        cancelled += after.cancelled - before.cancelled;
        if times.count() >= amount.timed {
            break;
        }
    }
    anyhow::ensure!(times.count() > 0, "the operations were over before one task was seen");
    Ok((times, cancelled as f64 / took.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_of_all_lengths_up_to_the_longest() {
        let pauses: Vec<f64> = (1..=1_000).map(|n| pause_after(n).as_secs_f64() * 1e3).collect();
        let longest = PAUSE_MS_MAX as f64;
        assert!(pauses.iter().all(|ms| (0.0..longest).contains(ms)));
        let below_half = pauses.iter().filter(|ms| **ms < longest / 2.0).count();
        assert!((480..520).contains(&below_half), "{below_half}");
    }
}
