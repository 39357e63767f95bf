//! `tasktonic bytes show | set`: how many bytes tasks hold, and how many they may.

use anyhow::Result;
use bytesize::ByteSize;
use clap::{Args, Subcommand};
use tasktonic_protocol::http::BytesHeld;

use crate::api::Remote;
use crate::screen;
use crate::task::{print_json, size};

/// What to do about bytes.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Say how many bytes tasks hold and may hold: your own, or those of a user
    #[command(after_help = "Examples:\n  tasktonic bytes show\n  tasktonic bytes show ana")]
    Show(Show),
    /// Set how many bytes the tasks of one user may hold
    #[command(after_help = "Examples:\n  \
        tasktonic bytes set 5GB\n  \
        tasktonic bytes set 20GB --user ana\n  \
        tasktonic bytes set none --user ana")]
    Set(Set),
}

/// Of whom.
#[derive(Args)]
pub(crate) struct Show {
    /// The user; without one yourself
    user: Option<String>,
    /// Print the numbers as the API gives them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// How many, of whom.
#[derive(Args)]
pub(crate) struct Set {
    /// So many, as `500MB`, `5GiB` or a plain number; `none`: no limit, and of one user what holds for
    /// everybody
    #[arg(value_name = "BYTES", value_parser = most)]
    most: Most,
    /// Of this user; without one of everybody of whom nothing is set
    #[arg(long)]
    user: Option<String>,
    /// Print what holds now as the API gives it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// The most, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most(Option<u64>);

fn most(text: &str) -> Result<Most, String> {
    if text == "none" {
        return Ok(Most(None));
    }
    let bytes = text.parse::<ByteSize>();
    let most = bytes.map(|bytes| Most(Some(bytes.as_u64())));
    most.map_err(|_| "a number of bytes such as 500MB, 5GB or 5GiB, or none".to_owned())
}

pub(crate) async fn bytes(verb: Verb) -> Result<u8> {
    match verb {
        Verb::Show(Show { user, json, remote }) => {
            let held = remote.client()?.bytes(user.as_deref()).await?;
            say(&held, json)
        }
        Verb::Set(Set { most, user: Some(user), json, remote }) => {
            let held = remote.client()?.set_bytes_of(&user, most.0).await?;
            say(&held, json)
        }
        Verb::Set(Set { most, user: None, json, remote }) => {
            let limit = remote.client()?.set_bytes_limit(most.0).await?;
            if json {
                print_json(&limit)?;
            } else {
                screen::say(&match limit.bytes_max {
                    Some(max) => format!("The tasks of each user may hold {}.", size(max)),
                    None => "The tasks of a user may hold as much as there is room for.".to_owned(),
                });
            }
            Ok(crate::DONE)
        }
    }
}

fn say(held: &BytesHeld, json: bool) -> Result<u8> {
    if json {
        print_json(held)?;
        return Ok(crate::DONE);
    }
    let most = match held.bytes_max {
        Some(max) => format!("of {} they may", size(max)),
        None => "and there is no limit".to_owned(),
    };
    let of_whom = if held.own_max.is_some() { ", set of this user" } else { "" };
    screen::say(&format!("The tasks hold {} {most}{of_whom}.", size(held.bytes)));
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_their_unit() {
        assert_eq!(most("none"), Ok(Most(None)));
        assert_eq!(most("0"), Ok(Most(Some(0))));
        assert_eq!(most("5GiB"), Ok(Most(Some(5 << 30))));
        assert_eq!(most("1.5 GB"), Ok(Most(Some(1_500_000_000))));
        for wrong in ["", "5XB", "GiB", "-1", "much"] {
            assert!(most(wrong).is_err(), "{wrong}");
        }
    }
}
