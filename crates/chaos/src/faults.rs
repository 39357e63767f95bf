//! What is broken, by hands that go on beside each other: each deals its cards in an order that the
//! seed chose, all of them at least once, then more of them until the time is over.

mod cluster;
mod redis;
mod servers;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::board::Board;
use crate::deployment::{Backing, Deployment, Form};
use crate::history::{Line, Op, Phase, Recorder, now};
use crate::seed::Seed;

/// How often a card is tried that did not come to anything.
const TRIES: u32 = 4;
/// The pause between two faults of a hand, ms: from, up to.
const PAUSE_MS: (u64, u64) = (200, 1_500);
/// How often a hand looks whether the run was stopped.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a process may take to come to the point where it dies.
const DIES_WITHIN: Duration = Duration::from_secs(12);

/// What one hand deals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Card {
    /// Its name in the history and the table.
    pub(crate) name: &'static str,
    /// Whether a run in which it never happened proves too little.
    pub(crate) needed: bool,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    KillWorker,
    StopWorker,
    FreezeWorker,
    KillServer,
    StopServer,
    FreezeServer,
    CutLines,
    /// A worker dies at a point of this name.
    WorkerDiesAt(&'static str),
    /// A server dies at a point of this name.
    ServerDiesAt(&'static str),
    KillRedis,
    FreezeRedis,
    PauseClients,
    FlushScripts,
    CutRedis,
    HushListeners,
    /// The proxy plays this at some calls.
    Play(redis::Play),
    KillMaster,
    FreezeMaster,
    HandOver,
    MoveSlot,
    KillConnections,
}

const fn card(name: &'static str, what: What) -> Card {
    Card { name, needed: true, what }
}

const fn perhaps(name: &'static str, what: What) -> Card {
    Card { name, needed: false, what }
}

const WORKERS: &[Card] = &[
    card("kill -9 of a worker", What::KillWorker),
    card("SIGTERM of a worker", What::StopWorker),
    card("a worker dies after its claim", What::WorkerDiesAt("worker_after_claim")),
    card("a worker dies in the middle", What::WorkerDiesAt("worker_mid_run")),
    card("a worker dies before its ack", What::WorkerDiesAt("worker_before_ack")),
    card("a worker dies after its ack", What::WorkerDiesAt("worker_after_ack")),
];

const FREEZER: &[Card] = &[card("a worker frozen past its lease", What::FreezeWorker)];

const SERVERS: &[Card] = &[
    card("kill -9 of a server", What::KillServer),
    card("SIGTERM of a server", What::StopServer),
    card("a server frozen for a while", What::FreezeServer),
    card("all HTTP lines of a server reset", What::CutLines),
    card("a server dies before it answers", What::ServerDiesAt("server_before_reply")),
    card("a server dies before a snapshot", What::ServerDiesAt("server_before_snapshot")),
];

const JOURNAL: &[Card] = &[
    card("the store dies before a commit", What::ServerDiesAt("store_before_commit")),
    card("the store dies after a commit", What::ServerDiesAt("store_after_commit")),
    perhaps("the store dies in a fold", What::ServerDiesAt("store_in_fold")),
    perhaps("the store dies before a trim", What::ServerDiesAt("store_before_trim")),
];

const REDIS: &[Card] = &[
    card("kill -9 of Redis", What::KillRedis),
    card("Redis frozen for a while", What::FreezeRedis),
    card("CLIENT PAUSE", What::PauseClients),
    card("SCRIPT FLUSH", What::FlushScripts),
    card("all lines to Redis reset", What::CutRedis),
    card("subscriptions fall silent", What::HushListeners),
    card("calls reset before Redis", What::Play(redis::Play::ResetBefore)),
    card("answers of Redis lost", What::Play(redis::Play::ResetAfter)),
    card("half an answer of Redis", What::Play(redis::Play::Half)),
    card("answers of Redis late", What::Play(redis::Play::Late)),
    card("calls carried out twice", What::Play(redis::Play::Twice)),
    card("a line to Redis falls silent", What::Play(redis::Play::Silence)),
];

const CLUSTER: &[Card] = &[
    card("kill -9 of a master, failover", What::KillMaster),
    card("a master frozen until another is voted", What::FreezeMaster),
    card("a master hands over", What::HandOver),
    card("a slot moves", What::MoveSlot),
    card("SCRIPT FLUSH", What::FlushScripts),
    card("CLIENT PAUSE", What::PauseClients),
    card("all lines to a master reset", What::KillConnections),
];

/// Everything that a form is put through.
pub(crate) fn cards(form: Form) -> Vec<Card> {
    let store: &[&[Card]] = match form {
        Form::Embedded => &[JOURNAL],
        Form::Redis => &[REDIS],
        Form::Cluster => &[CLUSTER],
    };
    [WORKERS, FREEZER, SERVERS].iter().chain(store).copied().flatten().copied().collect()
}

/// What every hand has.
#[derive(Clone)]
pub(crate) struct Setting {
    /// Where what happens is said.
    pub(crate) recorder: Recorder,
    /// What people look at.
    pub(crate) board: Arc<Board>,
    /// The time for faults is over.
    pub(crate) over: Arc<AtomicBool>,
    /// Somebody stopped the run.
    pub(crate) stopped: Arc<AtomicBool>,
}

impl Setting {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Waits, unless the run is stopped.
    fn rest(&self, ms: u64) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(ms) && !self.is_stopped() {
            std::thread::sleep(LOOK_EVERY.min(Duration::from_millis(ms)));
        }
    }

    /// Says that something is about to be broken.
    fn begins(&self, name: &str, target: &str, forgets: bool) {
        self.board.fault(name, target);
        self.recorder.say(&Line {
            status: Some(name.into()),
            forgets,
            ..Line::new(target, Op::Fault, Phase::Invoke)
        });
    }

    /// Says that what is not passed on by now may be forgotten.
    fn forgets(&self, name: &str, target: &str) {
        let line = Line::new(target, Op::Fault, Phase::Invoke);
        self.recorder.say(&Line { status: Some(name.into()), forgets: true, ..line });
    }

    /// Says that it was.
    fn happened(&self, name: &str, target: &str) {
        self.recorder
            .say(&Line { status: Some(name.into()), ..Line::new(target, Op::Fault, Phase::Ok) });
    }

    /// Says that something is seen which must not be.
    fn broke(&self, what: &str, target: &str, why: String) {
        let status = Some(what.into());
        let why = Some(why);
        self.recorder.say(&Line { status, why, ..Line::new(target, Op::Mark, Phase::Fail) });
    }
}

/// A hand left off because the run was stopped.
#[derive(Debug, thiserror::Error)]
#[error("the run was stopped")]
struct Stopped;

/// Running hands.
pub(crate) struct Hands {
    /// Whether there is a store to break beside the servers.
    has_store: bool,
    workers: JoinHandle<Result<Vec<crate::process::Slot>>>,
    freezer: JoinHandle<Result<Vec<crate::process::Slot>>>,
    servers: JoinHandle<Result<(Vec<crate::process::Slot>, Vec<tasktonic_testkit::relay::Relay>)>>,
    store: JoinHandle<Result<Backing>>,
}

impl Hands {
    /// Starts all hands of a form on what `deployment` has, which is taken out of it.
    pub(crate) fn start(
        form: Form,
        seed: u64,
        mut parts: Deployment,
        setting: &Setting,
    ) -> (Self, Deployment) {
        let take = |from: &mut Vec<_>, at: usize| from.split_off(at.min(from.len()));
        let frozen = take(&mut parts.workers, crate::deployment::WORKERS - 1);
        let workers = std::mem::take(&mut parts.workers);
        let servers = std::mem::take(&mut parts.servers);
        let relays = std::mem::take(&mut parts.relays);
        let backing = std::mem::replace(&mut parts.backing, Backing::Embedded);
        let hand = |part: &str| (setting.clone(), Seed::of(seed, part));
        let (mine, seed_of) = hand("workers");
        let workers = std::thread::spawn(move || workers::hand(&mine, seed_of, workers, WORKERS));
        let (mine, seed_of) = hand("freezer");
        let freezer = std::thread::spawn(move || workers::hand(&mine, seed_of, frozen, FREEZER));
        let (mine, seed_of) = hand("servers");
        let deck: Vec<Card> = match form {
            Form::Embedded => [SERVERS, JOURNAL].concat(),
            Form::Redis | Form::Cluster => SERVERS.to_vec(),
        };
        let servers =
            std::thread::spawn(move || servers::hand(&mine, seed_of, servers, relays, &deck));
        let (mine, seed_of) = hand("store");
        let store = std::thread::spawn(move || match backing {
            Backing::Embedded => Ok(Backing::Embedded),
            Backing::Redis(server, proxy) => redis::hand(&mine, seed_of, server, proxy, REDIS),
            Backing::Cluster(cluster) => cluster::hand(&mine, seed_of, cluster, CLUSTER),
        });
        let has_store = form != Form::Embedded;
        (Self { has_store, workers, freezer, servers, store }, parts)
    }

    /// Whether every hand has dealt all its cards and seen that the time is over.
    pub(crate) fn are_through(&self) -> bool {
        self.workers.is_finished()
            && self.freezer.is_finished()
            && self.servers.is_finished()
            && self.store.is_finished()
    }

    /// Whether one has ended though the time is not over: it broke itself, and what is left of the
    /// run would prove nothing.
    pub(crate) fn is_any_broken(&self) -> bool {
        self.workers.is_finished()
            || self.freezer.is_finished()
            || self.servers.is_finished()
            || (self.has_store && self.store.is_finished())
    }

    /// Waits for their end and puts everything back.
    ///
    /// # Errors
    /// What could not be healed.
    pub(crate) fn join(self, mut parts: Deployment) -> Result<Deployment> {
        let store = joined(self.store).context("the hand of the store");
        let servers = joined(self.servers).context("the hand of the servers");
        let workers = joined(self.workers).context("the hand of the workers");
        let frozen = joined(self.freezer).context("the hand that freezes");
        let errors = [
            store.as_ref().err(),
            servers.as_ref().err(),
            workers.as_ref().err(),
            frozen.as_ref().err(),
        ];
        if let Some(why) = why(errors) {
            bail!("{why:#}");
        }
        let (store, (servers, relays), workers, frozen) = (store?, servers?, workers?, frozen?);
        parts.backing = store;
        parts.servers = servers;
        parts.relays = relays;
        parts.workers = workers.into_iter().chain(frozen).collect();
        Ok(parts)
    }
}

/// Why hands ended before their time: who was only stopped does not say it.
fn why(errors: [Option<&anyhow::Error>; 4]) -> Option<&anyhow::Error> {
    errors.into_iter().flatten().find(|error| !error.root_cause().is::<Stopped>())
}

fn joined<T>(hand: JoinHandle<Result<T>>) -> Result<T> {
    hand.join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        anyhow!("it broke: {}", text.unwrap_or_else(|| "without a word".into()))
    })?
}

/// Deals `deck`, each card until it came to something, then more until the time is over.
fn deal(
    setting: &Setting,
    seed: &mut Seed,
    deck: &[Card],
    mut play: impl FnMut(Card, &mut Seed) -> Result<bool>,
) -> Result<()> {
    let mut cards = deck.to_vec();
    seed.shuffle(&mut cards);
    for card in cards {
        let mut tries = if card.needed { TRIES } else { 1 };
        while tries > 0 && !setting.is_stopped() {
            setting.rest(seed.between(PAUSE_MS.0, PAUSE_MS.1));
            tries = if play(card, seed)? { 0 } else { tries - 1 };
        }
    }
    while !setting.over.load(Ordering::SeqCst) && !setting.is_stopped() {
        setting.rest(seed.between(PAUSE_MS.0, PAUSE_MS.1));
        let card = *seed.pick(deck);
        play(card, seed)?;
    }
    if setting.is_stopped() {
        return Err(Stopped.into());
    }
    Ok(())
}

/// Waits until `done`, as long as `within`.
fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let since = now();
    while !done() {
        if now() - since > u64::try_from(within.as_millis()).unwrap_or(u64::MAX) {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_killed_stopped_and_frozen_and_no_name_says_two_things() {
        for form in [Form::Embedded, Form::Redis, Form::Cluster] {
            let mut names: Vec<_> = cards(form).iter().map(|card| card.name).collect();
            assert!(names.iter().any(|name| name.contains("frozen past its lease")));
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn who_broke_says_why_a_run_ended_and_not_who_was_stopped_for_it() {
        let stopped = joined::<()>(std::thread::spawn(|| Err(Stopped.into())));
        let stopped = stopped.context("the hand of the store").unwrap_err();
        let broke = joined::<()>(std::thread::spawn(|| panic!("it slipped"))).unwrap_err();
        let said = why([Some(&stopped), None, Some(&broke), Some(&stopped)]).unwrap();
        assert_eq!(said.to_string(), "it broke: it slipped");
        assert!(why([Some(&stopped), None, None, None]).is_none(), "somebody asked for it");
    }

    #[test]
    fn every_card_is_dealt_although_the_time_is_over_and_again_if_nothing_came_of_it() {
        let scratch = tasktonic_testkit::Scratch::new();
        let setting = Setting {
            recorder: Recorder::open(&scratch.join("history")).unwrap(),
            board: Arc::default(),
            over: Arc::new(AtomicBool::new(true)),
            stopped: Arc::default(),
        };
        let mut dealt = Vec::new();
        deal(&setting, &mut Seed::of(3, "deck"), &SERVERS[..3], |card, _| {
            dealt.push(card.name);
            Ok(card.what != What::KillServer
                || dealt.iter().filter(|n| **n == card.name).count() > 1)
        })
        .unwrap();
        assert_eq!(dealt.len(), 4, "{dealt:?}");
    }
}
