//! From a submission to `running` on its owner's socket, when the worker has nothing else to do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tasktonic_client::{Client, Socket, Token};
use tasktonic_protocol::frames::{ClientFrame, Event, ServerFrame, V, Watch};
use tasktonic_protocol::http::SubmitRequest;
use tasktonic_protocol::task::Task;

use crate::Options;
use crate::figures::{Figure, Times};
use crate::product::{KIND, Product};

/// Tasks that are timed.
const TASKS: usize = 500;
/// Tasks before them.
const WARM: usize = 50;
/// A task that is not seen for so long is lost.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let scratch = options.scratch()?;
    let product = Product::start(options, scratch.path(), &[]).await?;
    product.wait_for_kind().await?;
    let client = Client::new(&product.url(), Some(Token::new(&product.token)))?;
    let mut socket = watching(&client).await?;
    let (warm, tasks) = if options.quick { (2, 20) } else { (WARM, TASKS) };
    let (mut accepted, mut running, mut ended) =
        (Times::default(), Times::default(), Times::default());
    for n in 0..warm + tasks {
        let seen = one(&client, &mut socket).await?;
        if n >= warm {
            accepted.add(seen.accepted);
            running.add(seen.running);
            ended.add(seen.ended);
        }
    }
    product.stop().await?;
    let note = "one task at a time, idle worker in the server's process, durable";
    Ok([
        accepted.figures("submission accepted", note),
        running.figures("submission to `running` on the socket", note),
        ended.figures("submission to `completed` on the socket", note),
    ]
    .concat())
}

/// How long after its submission what was seen of a task.
pub(crate) struct Seen {
    pub(crate) accepted: Duration,
    pub(crate) running: Duration,
    pub(crate) ended: Duration,
}

/// A socket that hears of every task of its user from now on.
pub(crate) async fn watching(client: &Client) -> Result<Socket> {
    let mut socket = client.socket().await?;
    let watch = Watch::default();
    socket.say(&ClientFrame::Hello { v: V, cursor: None, watch }).await?;
    while !matches!(hear(&mut socket).await?, ServerFrame::Snapshot { .. }) {}
    Ok(socket)
}

/// Submits a task that does nothing, and watches it to its end. Its user has no other.
pub(crate) async fn one(client: &Client, socket: &mut Socket) -> Result<Seen> {
    let payload = serde_json::value::to_raw_value(&serde_json::json!({}))?;
    let request: SubmitRequest = tasktonic_client::submission(KIND, payload);
    let since = Instant::now();
    let submitting = async {
        let task: Task = client.submit(request).await?.task;
        Ok::<_, anyhow::Error>((task.id, since.elapsed()))
    };
    // The socket is read meanwhile: the event may come before the answer.
    let watching = async {
        let mut running = None;
        loop {
            let ServerFrame::Events { events, .. } = hear(socket).await? else { continue };
            for event in events {
                let Event::Changed { task } = event else { continue };
                match task.status.name() {
                    "running" => running = Some((task.id, since.elapsed())),
                    "completed" => {
                        let (id, running) = running.context("it ran before it completed")?;
                        anyhow::ensure!(id == task.id, "one task at a time");
                        return Ok((id, running, since.elapsed()));
                    }
                    "failed" | "cancelled" => bail!("a task ended {}", task.status.name()),
                    _ => {}
                }
            }
        }
    };
    let ((submitted, accepted), (id, running, ended)) = tokio::try_join!(submitting, watching)?;
    anyhow::ensure!(id == submitted, "an event of another task");
    Ok(Seen { accepted, running, ended })
}

async fn hear(socket: &mut Socket) -> Result<ServerFrame> {
    let frame =
        tokio::time::timeout(SEEN_WITHIN, socket.hear()).await.context("waiting for an event")?;
    frame?.context("the server closed the socket")
}
