//! What the parts share: a product without limits in the way, and users who fill its queue.

use std::ops::{Range, RangeInclusive};

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tasktonic_client::{Client, Token};
use tasktonic_protocol::http::{QueueChange, QueueUserChange};

use crate::product::{KIND, Product};
use crate::wire::Wire;

/// Tasks of one batch.
pub(crate) const BATCH: usize = 500;
/// More tasks than any part lets wait.
const WAITING_MAX: u32 = 1_000_000;
/// Where the lengths of tasks are drawn from: the same in each run.
const SEED: u64 = 21;

/// A user, by name and token.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) token: String,
    pub(crate) client: Client,
}

impl User {
    pub(crate) async fn new(product: &Product, name: &'static str) -> Result<Self> {
        let token = product.mint(name, "user").await?;
        let client = Client::new(&product.url(), Some(Token::new(&token)))?;
        Ok(Self { name, token, client })
    }
}

/// Who may set limits.
pub(crate) async fn operator(product: &Product) -> Result<Client> {
    let token = product.mint("bench-operator", "admin").await?;
    Ok(Client::new(&product.url(), Some(Token::new(&token)))?)
}

/// Takes the limits away that a long queue would meet: it is not they that are measured.
pub(crate) async fn lift_limits(operator: &Client) -> Result<()> {
    let change = QueueChange { waiting_max: Some(Some(WAITING_MAX)), ..QueueChange::default() };
    operator.set_queue(KIND, &change).await.context("raising the limit of waiting tasks")?;
    operator.set_bytes_limit(None).await.context("taking the limit of bytes away")?;
    Ok(())
}

/// Lets nothing of a user start in the queue, or lets it go on.
pub(crate) async fn pause(operator: &Client, user: &User, paused: bool) -> Result<()> {
    let user = user.name.to_owned();
    let change = QueueUserChange { user, paused: Some(paused), ..QueueUserChange::default() };
    operator.set_queue_user(KIND, &change).await.context("pausing a user's tasks in the queue")?;
    Ok(())
}

/// Submits tasks that take as long as one of `lengths_ms` each, all of them equally often and in no
/// order; of `keys` serial keys in turn if there are any.
pub(crate) async fn fill(
    product: &Product,
    token: &str,
    tasks: usize,
    lengths_ms: RangeInclusive<u64>,
    keys: usize,
) -> Result<()> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut wire = Wire::open(&product.authority).await?;
    let mut next = 0;
    while next < tasks {
        let until = tasks.min(next + BATCH);
        let body = batch(next..until, || random.random_range(lengths_ms.clone()), keys);
        let answer = wire.ask("POST", "/api/v1/tasks/batch", Some(token), &body).await?;
        let text = String::from_utf8_lossy(&answer.body);
        anyhow::ensure!(
            answer.status == 200 && !text.contains("\"error\":{"),
            "a batch was answered with {}: {text:.300}",
            answer.status
        );
        next = until;
    }
    Ok(())
}

/// The body of a batch of the tasks with these numbers.
fn batch(numbers: Range<usize>, mut length_ms: impl FnMut() -> u64, keys: usize) -> String {
    let one = |number: usize| {
        let key = number.checked_rem(keys).map(|key| format!(r#","serial_key":"key-{key}""#));
        let key = key.unwrap_or_default();
        format!(r#"{{"kind":"{KIND}","payload":{{"sleep_ms":{}}}{key}}}"#, length_ms())
    };
    format!(r#"{{"tasks":[{}]}}"#, numbers.map(one).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use tasktonic_protocol::http::BatchRequest;

    use super::*;

    #[test]
    fn a_batch_is_a_request_with_keys_in_turn() {
        let keys = |keys| {
            let asked: BatchRequest = serde_json::from_str(&batch(2..5, || 7, keys)).unwrap();
            let key = |task: &tasktonic_protocol::http::SubmitRequest| task.serial_key.clone();
            assert!(asked.tasks.iter().all(|task| task.payload.get() == r#"{"sleep_ms":7}"#));
            asked.tasks.iter().map(key).collect::<Vec<_>>()
        };
        assert_eq!(keys(0), [None, None, None]);
        assert_eq!(keys(3), ["key-2", "key-0", "key-1"].map(|key| Some(key.to_owned())));
    }
}
