//! Memory of the server per idle socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tasktonic_client::{Client, Socket, Token};
use tasktonic_protocol::frames::{ClientFrame, ServerFrame, V, Watch};

use crate::figures::{Figure, Times};
use crate::product::Product;
use crate::{Options, machine};

/// Sockets that are opened.
pub(crate) const COUNT: usize = 5_000;
/// Sockets of one user; the server allows no more than 50, and one may still be closing.
const PER_USER: usize = 40;
/// Opened at the same time.
const AT_ONCE: usize = 32;
/// Files that the bench needs beside its sockets.
const FILES_BESIDE: usize = 200;
/// How long everything rests before memory is read.
const REST: Duration = Duration::from_secs(5);

pub(crate) async fn measure(options: &Options, count: usize) -> Result<Vec<Figure>> {
    let count = if options.quick { count.min(100) } else { count };
    let allowed = machine::files_max()?;
    anyhow::ensure!(
        (count + FILES_BESIDE) as u64 <= allowed,
        "{count} sockets need more files than the {allowed} that are allowed; raise `ulimit -Hn` \
         or ask for fewer with --count"
    );
    let scratch = options.scratch()?;
    let product = Product::start_idle(options, scratch.path()).await?;
    let tokens = product.tokens(count.div_ceil(PER_USER)).await?;
    let bare = Client::new(&product.url(), None)?;
    let clients: Vec<Client> =
        tokens.iter().map(|token| bare.with_credentials(Arc::new(Token::new(token)))).collect();
    // One of each has been seen before the first is counted.
    let warm = open(&clients[0]).await?;
    tokio::time::sleep(REST).await;
    let before = product.resident_bytes()?;
    let (sockets, times) = open_all(&clients, count).await?;
    tokio::time::sleep(REST).await;
    let after = product.resident_bytes()?;
    let each = after.saturating_sub(before) as f64 / count as f64 / 1_024.0;
    let note = format!("{count} sockets, {PER_USER} per user, signed in, with their snapshot");
    drop((warm, sockets));
    tokio::time::sleep(REST).await;
    let left = product.resident_bytes()?;
    product.stop().await?;
    let mut figures = vec![
        Figure::new("memory per idle socket", each, "KiB", &*note),
        Figure::new("memory before", before as f64 / 1_048_576.0, "MiB", "of the server"),
        Figure::new("memory with them", after as f64 / 1_048_576.0, "MiB", &*note),
        Figure::new("memory after they closed", left as f64 / 1_048_576.0, "MiB", "of the server"),
    ];
    let note = format!("to its snapshot, {AT_ONCE} at once");
    figures.extend(times.figures("opening a socket", &note));
    Ok(figures)
}

/// Opens `count` sockets and keeps them read, as a page does.
async fn open_all(clients: &[Client], count: usize) -> Result<(tokio::task::JoinSet<()>, Times)> {
    let mut open_sockets = tokio::task::JoinSet::new();
    let mut opening = tokio::task::JoinSet::new();
    let mut times = Times::default();
    let mut next = 0;
    while next < count || !opening.is_empty() {
        while next < count && opening.len() < AT_ONCE {
            // Users in turn, so that none has all of its sockets under way.
            let client = clients[next % clients.len()].clone();
            opening.spawn(async move {
                let since = std::time::Instant::now();
                Ok::<_, anyhow::Error>((open(&client).await?, since.elapsed()))
            });
            next += 1;
        }
        let opened = opening.join_next().await.context("a socket under way")?;
        let (mut socket, took) = opened.context("opening a socket")??;
        times.add(took);
        open_sockets.spawn(async move { while let Ok(Some(_)) = socket.hear().await {} });
    }
    Ok((open_sockets, times))
}

async fn open(client: &Client) -> Result<Socket> {
    let mut socket = client.socket().await?;
    let watch = Watch { recent: 100, ..Watch::default() };
    socket.say(&ClientFrame::Hello { v: V, cursor: None, watch }).await?;
    loop {
        let frame = socket.hear().await?.context("the server closed a socket")?;
        if let ServerFrame::Snapshot { .. } = frame {
            return Ok(socket);
        }
    }
}
