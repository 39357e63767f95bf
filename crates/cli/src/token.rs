//! `tasktonic token mint`: an access token signed with the installation's own key, for those who
//! can read that key.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Subcommand;
use tasktonic_auth::Role;
use tasktonic_server::Identity;
use tasktonic_store::clock::Clock;
use tasktonic_store::model::ModelStore;

use crate::data::{self, Data};
use crate::screen;

/// Life of a minted token unless told otherwise.
const TTL_DEFAULT: &str = "1h";

/// What to do with tokens.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Sign an access token and print it
    #[command(after_help = "Examples:\n  \
        TASKTONIC_TOKEN=$(tasktonic token mint --user ana) tasktonic task list\n  \
        tasktonic token mint --user worker-1 --role worker --ttl 30d > worker.token")]
    Mint {
        /// For whom
        #[arg(long)]
        user: String,
        /// As what: user, operator, admin, worker or service
        #[arg(long, default_value = "user")]
        role: Role,
        /// How long it is good: seconds, or a number with s, m, h or d
        #[arg(long, default_value = TTL_DEFAULT, value_parser = ttl, value_name = "TIME")]
        ttl: u32,
        /// The folder of the installation
        #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
        data: PathBuf,
    },
}

fn ttl(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a time is a number with s, m, h or d".into()),
    };
    let number: u32 = digits.parse().map_err(|_| "a time is a number with s, m, h or d")?;
    number.checked_mul(unit).ok_or_else(|| "that is too long".into())
}

pub(crate) fn token(verb: Verb) -> Result<u8> {
    let Verb::Mint { user, role, ttl, data } = verb;
    data::must_be_there(&data)?;
    let data = Data::open(&data)?;
    let clock = Clock::system();
    // Signing needs the key and nothing of the store, which may be in use by the server.
    let nothing = Arc::new(ModelStore::new(clock.clone()));
    let identity = Identity::open(nothing, &data.keys(), Vec::new(), clock)
        .context("opening the signing key")?;
    screen::say(&identity.mint(&user, role, ttl)?);
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        assert_eq!(ttl("90"), Ok(90));
        assert_eq!(ttl("30d"), Ok(2_592_000));
        for wrong in ["", "h", "1w", "-1", "99999999d"] {
            assert!(ttl(wrong).is_err(), "{wrong}");
        }
    }
}
