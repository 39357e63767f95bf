//! `tasktonic task counts`: how many tasks are in each state, and what they hold.

use anyhow::Result;
use bytesize::ByteSize;
use clap::Args;
use tasktonic_protocol::http::Counts;

use crate::api::Remote;
use crate::screen;

/// How many, of whom.
#[derive(Args)]
pub(crate) struct Asked {
    /// Print the numbers as the API gives them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn counts(asked: Asked) -> Result<u8> {
    let counts = asked.remote.client()?.counts().await?;
    if asked.json {
        super::print_json(&counts)?;
        return Ok(crate::DONE);
    }
    screen::table(&["STATUS", "TASKS"], &rows(&counts));
    screen::say(&format!("They hold {}.", size(counts.bytes)));
    Ok(crate::DONE)
}

fn rows(counts: &Counts) -> Vec<Vec<String>> {
    let Counts { all, scheduled, waiting, queued, running, completed, failed, cancelled, .. } =
        *counts;
    let named = [
        ("scheduled", scheduled),
        ("waiting", waiting),
        ("queued", queued),
        ("running", running),
        ("completed", completed),
        ("failed", failed),
        ("cancelled", cancelled),
        ("all", all),
    ];
    named.iter().map(|(name, count)| vec![(*name).to_owned(), count.to_string()]).collect()
}

/// Bytes as people read them, in the units of the pages.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_unit_that_fits() {
        assert_eq!([0, 999, 1_500, 5_000_000].map(size), ["0 B", "999 B", "1.5 kB", "5.0 MB"]);
    }
}
