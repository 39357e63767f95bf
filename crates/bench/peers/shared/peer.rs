//! What the programs of peers in Rust share: the record of each start, and the conversation with
//! the bench. It knows no library.
//!
//! A program is started as `program submit` or `program worker CONCURRENCY`, with REDIS_URL, LOG
//! (the file of starts) and TASK_MS (how long a task takes) in its environment.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What the bench says: so many tasks, or one at each offset from now.
#[derive(Deserialize)]
struct Said {
    first: u64,
    pad: String,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    size: u64,
    offsets_ns: Option<Vec<u64>>,
}

/// A task before it is one of the library's: its number, when it was due, and ballast.
pub struct Draft {
    pub n: u64,
    pub at: u64,
    pub pad: String,
}

/// How a library submits.
pub trait Submit {
    /// One task.
    async fn one(&mut self, task: Draft) -> Outcome<()>;
    /// Several, the way the library's documentation does it.
    async fn many(&mut self, tasks: Vec<Draft>) -> Outcome<()>;
}

pub fn redis_url() -> String {
    std::env::var("REDIS_URL").expect("the bench sets REDIS_URL")
}

pub fn task_time() -> Duration {
    let ms = std::env::var("TASK_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(ms.unwrap_or(0))
}

pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has this clock");
    u64::try_from(Duration::from(now).as_nanos()).expect("less than 500 years")
}

/// The file of starts.
pub struct Log(File);

impl Log {
    pub fn open() -> Self {
        let path = std::env::var_os("LOG").expect("the bench sets LOG");
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(file.expect("the bench names a file that can be written"))
    }

    /// Writes down that a task has started.
    pub fn record(&self, n: u64, at: u64) {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        bytes[8..16].copy_from_slice(&at.to_le_bytes());
        bytes[16..].copy_from_slice(&now_ns().to_le_bytes());
        (&self.0).write_all(&bytes).expect("a start is written down");
    }
}

/// Does what the bench says, line by line.
pub async fn serve(mut library: impl Submit) -> Outcome<()> {
    println!(r#"{{"ready":true}}"#);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Said { first, pad, count, size, offsets_ns } = serde_json::from_str(&line)?;
        let mut waits = Vec::new();
        let start = now_ns();
        if let Some(offsets) = offsets_ns {
            for (n, offset) in (first..).zip(offsets) {
                let at = start + offset;
                // Timers of tokio count in milliseconds, and whoever spins takes the worker's time.
                std::thread::sleep(Duration::from_nanos(at.saturating_sub(now_ns())));
                library.one(Draft { n, at, pad: pad.clone() }).await?;
            }
        } else {
            let mut done = 0;
            while done < count {
                let some = size.min(count - done);
                let since = now_ns();
                let draft = |n| Draft { n: first + n, at: since, pad: pad.clone() };
                if size == 1 {
                    library.one(draft(done)).await?;
                } else {
                    library.many((done..done + some).map(draft).collect()).await?;
                }
                waits.push(now_ns() - since);
                done += some;
            }
        }
        let took = now_ns() - start;
        println!("{}", serde_json::json!({ "took_ns": took, "waits_ns": waits }));
    }
    Ok(())
}
