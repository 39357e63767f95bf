//! `tasktonic task counts`: how many tasks are in each state, and what they hold.

use anyhow::Result;
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

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => screen::many(bytes, "byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_unit_that_fits() {
        let said = [0, 1, 1_023, 1_024, 1_600, 5 << 20, u64::MAX].map(size);
        let should = [
            "0 bytes",
            "1 byte",
            "1023 bytes",
            "1.0 KiB",
            "1.5 KiB",
            "5.0 MiB",
            "17179869183.9 GiB",
        ];
        assert_eq!(said, should);
    }
}
