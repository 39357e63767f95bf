//! One server of Redis that is killed, frozen and paused, and a proxy in front of it that breaks
//! single calls.

use std::time::Duration;

use anyhow::Result;
use tasktonic_testkit::Redis;
use tasktonic_testkit::fault_proxy::{Fault, FaultProxy};

use super::{Card, Setting, What, deal, wait_until};
use crate::deployment::Backing;
use crate::seed::Seed;

/// How long Redis is frozen or paused, ms: from, up to.
const FROZEN_MS: (u64, u64) = (500, 3_500);
/// How long its place stays empty, ms: from, up to.
const EMPTY_MS: (u64, u64) = (0, 1_500);
/// At how many calls one fault is played, and how many pass before.
const PLAYED: (u64, u64) = (1, 6);
const PASSED: (u64, u64) = (0, 20);
/// How much later a late answer comes, ms: from, up to.
const LATE_MS: (u64, u64) = (50, 1_500);
/// How long the calls may take to come by.
const PLAYED_WITHIN: Duration = Duration::from_secs(10);
/// The call that every script is carried out by.
const CALL: &str = "FCALL";

/// What the proxy plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    ResetBefore,
    ResetAfter,
    Half,
    Late,
    Twice,
    Silence,
}

pub(super) fn hand(
    setting: &Setting,
    mut seed: Seed,
    mut redis: Box<Redis>,
    proxy: FaultProxy,
    deck: &[Card],
) -> Result<Backing> {
    deal(setting, &mut seed, deck, |card, seed| play(setting, card, seed, &mut redis, &proxy))?;
    proxy.clear();
    Ok(Backing::Redis(redis, proxy))
}

fn play(
    setting: &Setting,
    card: Card,
    seed: &mut Seed,
    redis: &mut Redis,
    proxy: &FaultProxy,
) -> Result<bool> {
    let begins = || setting.begins(card.name, "redis", false);
    match card.what {
        What::KillRedis => {
            begins();
            redis.crash();
            setting.rest(seed.between(EMPTY_MS.0, EMPTY_MS.1));
            redis.restart();
        }
        What::FreezeRedis => {
            begins();
            redis.freeze();
            setting.rest(seed.between(FROZEN_MS.0, FROZEN_MS.1));
            redis.thaw();
        }
        What::PauseClients => {
            begins();
            let ms = seed.between(FROZEN_MS.0, FROZEN_MS.1);
            redis.cli(&["CLIENT", "PAUSE", &ms.to_string(), "ALL"]);
            setting.rest(ms);
        }
        What::FlushScripts => {
            begins();
            redis.forget_scripts();
        }
        What::CutRedis => {
            begins();
            proxy.cut();
        }
        What::HushListeners => {
            if proxy.hush_listeners() == 0 {
                return Ok(false);
            }
            begins();
        }
        What::Play(what) => {
            begins();
            let times = seed.between(PLAYED.0, PLAYED.1);
            let fault = match what {
                Play::ResetBefore => Fault::ResetBefore,
                Play::ResetAfter => Fault::ResetAfter,
                Play::Half => Fault::Half,
                Play::Late => {
                    Fault::Late(Duration::from_millis(seed.between(LATE_MS.0, LATE_MS.1)))
                }
                Play::Twice => Fault::Twice,
                Play::Silence => Fault::Silence,
            };
            let before = proxy.played();
            proxy.plan(&[CALL], seed.between(PASSED.0, PASSED.1), times, fault);
            let done = wait_until(PLAYED_WITHIN, || proxy.played() >= before + times);
            proxy.clear();
            if !done && proxy.played() == before {
                return Ok(false);
            }
        }
        other => unreachable!("{other:?} is of another hand"),
    }
    setting.happened(card.name, "redis");
    Ok(true)
}
