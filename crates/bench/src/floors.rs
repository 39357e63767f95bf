//! What no server on this machine can beat: one fdatasync, one request that does nothing.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::figures::{Figure, Times};
use crate::wire::Wire;

/// Bytes of one write: about what one submission adds to a journal.
const WRITE_BYTES: usize = 4_096;
/// Writes whose sync is timed.
const SYNCS: u64 = 400;
/// Connections of the loaded floor.
const CONNECTIONS: usize = 64;

/// One write of 4 KiB made durable, in `folder`.
pub(crate) fn fdatasync(folder: &Path) -> Result<Times> {
    let path = folder.join("fdatasync");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = vec![0x5a; WRITE_BYTES];
    let mut times = Times::default();
    for n in 0..SYNCS {
        let since = Instant::now();
        file.write_all_at(&block, n * WRITE_BYTES as u64)?;
        file.sync_data()?;
        times.add(since.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(times)
}

/// The same as figures.
pub(crate) fn fdatasync_figures(folder: &Path) -> Result<Vec<Figure>> {
    let note = "floor: 4 KiB appended and made durable, alone";
    Ok(fdatasync(folder)?.figures("fdatasync", note).to_vec())
}

/// Requests to `/healthz` over kept connections for `length`.
pub(crate) async fn healthz(authority: &str, length: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for connections in [1, CONNECTIONS] {
        let until = Instant::now() + length;
        let loops: Vec<_> = (0..connections)
            .map(|_| {
                let authority = authority.to_owned();
                tokio::spawn(async move { ask_until(&authority, until).await })
            })
            .collect();
        let mut times = Times::default();
        for ended in loops {
            times.merge(ended.await.context("a loop of the bench")??);
        }
        let note = format!("floor: GET /healthz, connections: {connections}");
        let rate = times.count() as f64 / length.as_secs_f64();
        figures.push(Figure::new("bare requests", rate, "per s", &*note));
        figures.extend(times.figures("bare request", &note));
    }
    Ok(figures)
}

async fn ask_until(authority: &str, until: Instant) -> Result<Times> {
    let mut wire = Wire::open(authority).await?;
    let mut times = Times::default();
    while Instant::now() < until {
        let since = Instant::now();
        let answer = wire.ask("GET", "/healthz", None, "").await?;
        anyhow::ensure!(answer.status / 100 == 2, "/healthz answered {}", answer.status);
        times.add(since.elapsed());
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_of_the_disk_is_above_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let times = fdatasync(folder.path()).unwrap();
        assert_eq!(times.count(), usize::try_from(SYNCS).unwrap());
        assert!(times.percentile_ms(50.0) > 0.0);
    }
}
