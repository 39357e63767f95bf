//! Workers that are killed, stopped, frozen, and that die at a point of their own.

use anyhow::Result;

use super::{Card, DIES_WITHIN, Setting, What, deal};
use crate::deployment::LEASE_MS;
use crate::process::{Slot, ending};
use crate::seed::Seed;

/// How much longer than a lease a worker is frozen, ms: from, up to.
const FROZEN_BEYOND_MS: (u64, u64) = (1_500, 3_500);
/// How long a killed worker's place stays empty, ms: from, up to.
const EMPTY_MS: (u64, u64) = (0, 2_000);
/// At which of its passes a worker dies: from, up to. It passes the point in the middle only where
/// progress was news of its own.
const PASSES: (u64, u64) = (1, 6);
const PASSES_IN_THE_MIDDLE: (u64, u64) = (1, 3);

pub(super) fn hand(
    setting: &Setting,
    mut seed: Seed,
    mut workers: Vec<Slot>,
    deck: &[Card],
) -> Result<Vec<Slot>> {
    deal(setting, &mut seed, deck, |card, seed| {
        let place = seed.place(workers.len());
        for worker in &mut workers {
            check(setting, worker)?;
        }
        play(setting, card, seed, &mut workers[place])
    })?;
    for worker in &mut workers {
        check(setting, worker)?;
    }
    Ok(workers)
}

/// A process that ended although nobody made it is a finding, and started again.
pub(super) fn check(setting: &Setting, slot: &mut Slot) -> Result<()> {
    if let Some(status) = slot.ended_by_itself() {
        setting.broke("ended by itself", &slot.name, ending(status));
        slot.kill();
        slot.start()?;
    }
    Ok(())
}

fn play(setting: &Setting, card: Card, seed: &mut Seed, worker: &mut Slot) -> Result<bool> {
    let name = worker.name.clone();
    match card.what {
        What::KillWorker => {
            setting.begins(card.name, &name, false);
            worker.kill();
            setting.happened(card.name, &name);
            setting.rest(seed.between(EMPTY_MS.0, EMPTY_MS.1));
        }
        What::StopWorker => {
            setting.begins(card.name, &name, false);
            stop(setting, worker);
            setting.happened(card.name, &name);
        }
        What::FreezeWorker => {
            setting.begins(card.name, &name, false);
            worker.freeze();
            setting.rest(LEASE_MS + seed.between(FROZEN_BEYOND_MS.0, FROZEN_BEYOND_MS.1));
            worker.thaw();
            setting.happened(card.name, &name);
            return Ok(true);
        }
        What::WorkerDiesAt(point) => {
            stop(setting, worker);
            let is_rare = point == "worker_mid_run";
            let passes = if is_rare { PASSES_IN_THE_MIDDLE } else { PASSES };
            let pass = u32::try_from(seed.between(passes.0, passes.1)).unwrap_or(1);
            setting.begins(card.name, &name, false);
            let died = worker.dies_at(point, pass, DIES_WITHIN, || {});
            if died {
                setting.happened(card.name, &name);
            }
            worker.start()?;
            return Ok(died);
        }
        other => unreachable!("{other:?} is of another hand"),
    }
    worker.start()?;
    Ok(true)
}

/// One that is asked to stop ends in order, whatever else is broken meanwhile.
pub(super) fn stop(setting: &Setting, slot: &mut Slot) {
    match slot.stop() {
        Some(status) if status.success() => {}
        Some(status) => setting.broke("stopped in disorder", &slot.name, ending(status)),
        None => setting.broke("stopped in disorder", &slot.name, "it did not end".into()),
    }
}
