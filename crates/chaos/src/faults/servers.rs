//! Servers that are killed, stopped, frozen, cut off, and that die at a point of their own. In the
//! embedded form the store dies with them.

use std::time::{Duration, Instant};

use anyhow::Result;
use tasktonic_testkit::relay::Relay;

use super::workers::{check, stop};
use super::{Card, DIES_WITHIN, Setting, What, deal};
use crate::process::Slot;
use crate::seed::Seed;

/// How long a server is frozen, ms: from, up to.
const FROZEN_MS: (u64, u64) = (1_000, 4_000);
/// How long a killed server's place stays empty, ms: from, up to.
const EMPTY_MS: (u64, u64) = (0, 1_500);
/// How often lines are cut, and how far apart, ms.
const CUTS: u64 = 5;
const CUT_EVERY_MS: (u64, u64) = (30, 250);
/// At which of its passes a server dies: from, up to.
const PASSES: (u64, u64) = (1, 12);
const PASSES_OF_SOCKETS: (u64, u64) = (1, 3);
/// The point that sockets pass, and how often they are made to come again.
const OF_SOCKETS: &str = "server_before_snapshot";
const CUT_AGAIN: Duration = Duration::from_millis(1_500);

pub(super) fn hand(
    setting: &Setting,
    mut seed: Seed,
    mut servers: Vec<Slot>,
    relays: Vec<Relay>,
    deck: &[Card],
) -> Result<(Vec<Slot>, Vec<Relay>)> {
    deal(setting, &mut seed, deck, |card, seed| {
        let place = seed.place(servers.len());
        for server in &mut servers {
            check(setting, server)?;
        }
        play(setting, card, seed, &mut servers[place], &relays, place)
    })?;
    for server in &mut servers {
        check(setting, server)?;
    }
    Ok((servers, relays))
}

fn play(
    setting: &Setting,
    card: Card,
    seed: &mut Seed,
    server: &mut Slot,
    relays: &[Relay],
    place: usize,
) -> Result<bool> {
    let name = server.name.clone();
    match card.what {
        What::KillServer => {
            setting.begins(card.name, &name, false);
            server.kill();
            setting.happened(card.name, &name);
            setting.rest(seed.between(EMPTY_MS.0, EMPTY_MS.1));
            server.start()?;
        }
        What::StopServer => {
            setting.begins(card.name, &name, false);
            stop(setting, server);
            setting.happened(card.name, &name);
            server.start()?;
        }
        What::FreezeServer => {
            setting.begins(card.name, &name, false);
            server.freeze();
            setting.rest(seed.between(FROZEN_MS.0, FROZEN_MS.1));
            server.thaw();
            setting.happened(card.name, &name);
        }
        What::CutLines => {
            setting.begins(card.name, &name, false);
            let mut cut = 0;
            for _ in 0..CUTS {
                cut += relays[place].cut();
                setting.rest(seed.between(CUT_EVERY_MS.0, CUT_EVERY_MS.1));
            }
            if cut == 0 {
                return Ok(false);
            }
            setting.happened(card.name, &name);
        }
        What::ServerDiesAt(point) => {
            stop(setting, server);
            let of_sockets = point == OF_SOCKETS;
            let passes = if of_sockets { PASSES_OF_SOCKETS } else { PASSES };
            let pass = u32::try_from(seed.between(passes.0, passes.1)).unwrap_or(1);
            setting.begins(card.name, &name, false);
            let mut cut = None;
            let died = server.dies_at(point, pass, DIES_WITHIN, || {
                // Who listens elsewhere comes here only when its line breaks.
                if of_sockets && cut.is_none_or(|at: Instant| at.elapsed() > CUT_AGAIN) {
                    cut = Some(Instant::now());
                    for relay in relays {
                        relay.cut();
                    }
                }
            });
            if died {
                setting.happened(card.name, &name);
            }
            server.start()?;
            return Ok(died);
        }
        other => unreachable!("{other:?} is of another hand"),
    }
    Ok(true)
}
