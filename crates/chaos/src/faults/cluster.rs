//! A cluster whose masters are killed, freeze and hand over, and whose slots move. One thing at a time, and
//! the nodes agree before the next: what is promised is the loss of a master, not of its replica too.

use std::time::Duration;

use anyhow::Result;
use tasktonic_testkit::cluster::{Cluster, SLOTS};

use super::{Card, Setting, What, deal, wait_until};
use crate::deployment::Backing;
use crate::seed::Seed;

/// How long a vote may take.
const VOTED_WITHIN: Duration = Duration::from_secs(30);
/// How long clients are paused, ms: from, up to. Shorter than what makes a node seem gone.
const PAUSED_MS: (u64, u64) = (200, 900);
/// How long a killed node stays away once another is master, ms: from, up to.
const AWAY_MS: (u64, u64) = (0, 1_500);

pub(super) fn hand(
    setting: &Setting,
    mut seed: Seed,
    mut cluster: Box<Cluster>,
    deck: &[Card],
) -> Result<Backing> {
    deal(setting, &mut seed, deck, |card, seed| {
        let done = play(setting, card, seed, &mut cluster);
        cluster.wait_until_agreed();
        Ok(done)
    })?;
    Ok(Backing::Cluster(cluster))
}

fn play(setting: &Setting, card: Card, seed: &mut Seed, cluster: &mut Cluster) -> bool {
    let slot = u16::try_from(seed.below(SLOTS.into())).unwrap_or(0);
    let master = cluster.master_of(slot);
    let name = format!("node-{master}");
    match card.what {
        What::KillMaster => {
            // What it had not passed on is forgotten: of submissions nothing that was answered.
            setting.begins(card.name, &name, true);
            cluster.kill(master);
            let voted = wait_until(VOTED_WITHIN, || cluster.master_of(slot) != master);
            setting.rest(seed.between(AWAY_MS.0, AWAY_MS.1));
            cluster.revive(master);
            if !voted {
                return false;
            }
        }
        What::FreezeMaster => {
            setting.begins(card.name, &name, true);
            cluster.node(master).freeze();
            let voted = wait_until(VOTED_WITHIN, || cluster.master_of(slot) != master);
            setting.rest(seed.between(AWAY_MS.0, AWAY_MS.1));
            // Until it hears of the vote it takes writes that nobody keeps.
            setting.forgets(card.name, &name);
            cluster.node(master).thaw();
            if !voted {
                return false;
            }
        }
        What::HandOver => {
            // In order, and nothing is forgotten.
            setting.begins(card.name, &name, false);
            cluster.failover(slot);
        }
        What::MoveSlot => {
            let Some(slot) = used_slot(cluster, master) else { return false };
            let others: Vec<usize> =
                masters(cluster).into_iter().filter(|n| *n != master).collect();
            if others.is_empty() {
                return false;
            }
            setting.begins(card.name, &name, false);
            cluster.migrate_slot(slot, *seed.pick(&others));
        }
        What::FlushScripts => {
            setting.begins(card.name, "every master", false);
            // Replicas follow: they refuse what would write.
            for node in masters(cluster) {
                cluster.node(node).forget_scripts();
            }
        }
        What::PauseClients => {
            setting.begins(card.name, &name, false);
            let ms = seed.between(PAUSED_MS.0, PAUSED_MS.1);
            cluster.node(master).cli(&["CLIENT", "PAUSE", &ms.to_string(), "ALL"]);
            setting.rest(ms);
        }
        What::KillConnections => {
            setting.begins(card.name, &name, false);
            for sort in ["normal", "pubsub"] {
                cluster.node(master).cli(&["CLIENT", "KILL", "TYPE", sort, "SKIPME", "yes"]);
            }
        }
        other => unreachable!("{other:?} is of another hand"),
    }
    setting.happened(card.name, &name);
    true
}

/// A slot of `master` that has keys.
fn used_slot(cluster: &Cluster, master: usize) -> Option<u16> {
    let node = cluster.node(master);
    let key = node.cli(&["RANDOMKEY"]);
    if key.is_empty() {
        return None;
    }
    node.cli(&["CLUSTER", "KEYSLOT", &key]).parse().ok()
}

/// The nodes that are masters now.
fn masters(cluster: &Cluster) -> Vec<usize> {
    let is_master = |node: &usize| {
        cluster.node(*node).info("replication").get("role").is_some_and(|role| role == "master")
    };
    (0..cluster.nodes().len()).filter(is_master).collect()
}
