//! The judge. It reads a history and nothing else, shares no code with what made it, and says of
//! each law whether it held and where not.

mod figures;
mod laws;
mod stream;
#[cfg(test)]
mod tests;
mod world;

use serde::Serialize;

use crate::history::Line;

pub(crate) use figures::{Figures, RESET, SITUATIONS};
use world::World;

/// How many places a report names for one law.
const EXAMPLES_MAX: usize = 10;

/// What must hold, whatever was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Law {
    /// I1: what was accepted is there.
    Lost,
    /// I8: what was accepted has ended.
    Unended,
    /// I8: what can run starts within 15 s once nothing is broken.
    Late,
    /// I2: nothing from nowhere, and nothing that was refused.
    Unexpected,
    /// I6: a key is a task.
    Keys,
    /// I3: a life ends once.
    EndsOnce,
    /// I4: only the newest claim is believed.
    Stale,
    /// I4: every claim has a fence of its own, and it rises.
    Fences,
    /// I7: attempts are counted, and have a maximum.
    Attempts,
    /// What is completed was done.
    Effects,
    /// Nothing starts before its time.
    Early,
    /// A cancellation that was answered sticks.
    Cancelled,
    /// A run sees all of an edit that was answered.
    Edited,
    /// What was removed stays removed.
    Removed,
    /// Parts of flows wait for what they were said to wait for.
    Ties,
    /// A request that is accepted whole is there whole.
    Whole,
    /// A flow has the numbers of its parts, and ends as they did.
    Gathered,
    /// What follows a batch begins after all of it.
    Callback,
    /// A key means what its mode says.
    Modes,
    /// Of a serial key one runs at a time, in order.
    Serial,
    /// No more run than may.
    Running,
    /// No more of all users run than may.
    Total,
    /// No more start in a time than may.
    Rate,
    /// What is paused is not handed out.
    Paused,
    /// Labels choose the workers.
    Labels,
    /// Each task of a call is judged by itself.
    Items,
    /// Each time of a schedule makes one task.
    Ticks,
    /// I9: events are numbered without holes, revs rise.
    Order,
    /// I10: what was heard last is what is.
    Agreement,
    /// I14: who is asked to stop ends in order, and nobody ends by itself.
    Processes,
}

impl Law {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 30] = [
        Self::Lost,
        Self::Unended,
        Self::Late,
        Self::Unexpected,
        Self::Keys,
        Self::EndsOnce,
        Self::Stale,
        Self::Fences,
        Self::Attempts,
        Self::Effects,
        Self::Early,
        Self::Cancelled,
        Self::Edited,
        Self::Removed,
        Self::Ties,
        Self::Whole,
        Self::Gathered,
        Self::Callback,
        Self::Modes,
        Self::Serial,
        Self::Running,
        Self::Total,
        Self::Rate,
        Self::Paused,
        Self::Labels,
        Self::Items,
        Self::Ticks,
        Self::Order,
        Self::Agreement,
        Self::Processes,
    ];

    /// What it says.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Lost => "every accepted task is there at the end",
            Self::Unended => "every task has ended once nothing is broken any more",
            Self::Late => "what can run starts within 15 s once nothing is broken",
            Self::Unexpected => "nothing runs that nobody asked for or that was refused",
            Self::Keys => "one idempotency key is one task",
            Self::EndsOnce => "a task ends once, and again only after it was sent back",
            Self::Stale => "nothing of a superseded attempt is believed or shown",
            Self::Fences => "every claim has a fence of its own, and fences rise with attempts",
            Self::Attempts => "attempts never exceed their maximum",
            Self::Effects => "what is completed was done, by the attempt it names",
            Self::Early => "nothing starts before its time",
            Self::Cancelled => "what was cancelled does not start again by itself",
            Self::Edited => "a run sees all of an edit that was accepted before it",
            Self::Removed => "what was removed stays removed",
            Self::Ties => "a part of a flow waits for what its ties say",
            Self::Whole => "a flow is accepted whole or not at all",
            Self::Gathered => "a flow's numbers are those of its parts, and it ends as they did",
            Self::Callback => "what follows a batch begins once it is closed and all has ended",
            Self::Modes => "a key means what its mode says",
            Self::Serial => "of a serial key one runs at a time, in order",
            Self::Running => "no more of a user's tasks run in a queue than may",
            Self::Total => "no more of all users' tasks run in a queue than may",
            Self::Rate => "no more of a user's tasks start in a time than may",
            Self::Paused => "what is paused is not handed out",
            Self::Labels => "nothing starts at a worker that lacks one of its labels",
            Self::Items => "of many tasks in a call each is accepted or refused by itself",
            Self::Ticks => "each time of a schedule makes one task",
            Self::Order => "events are numbered without holes, and revs rise",
            Self::Agreement => "what was heard last of a task is what it is",
            Self::Processes => "who is asked to stop ends in order, and nobody ends by itself",
        }
    }
}

/// Whether one law held.
#[derive(Debug, Serialize)]
pub(crate) struct Ruling {
    /// Which.
    pub(crate) law: Law,
    /// What it says.
    pub(crate) sentence: &'static str,
    /// How much there was to which it applies: a law that saw nothing has proved nothing.
    pub(crate) looked_at: usize,
    /// How often it did not hold.
    pub(crate) broken: usize,
    /// Where, for the first few.
    pub(crate) examples: Vec<String>,
}

/// The judgement over a run.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// One per law.
    pub(crate) rulings: Vec<Ruling>,
    /// What was counted on the way.
    pub(crate) figures: Figures,
}

impl Verdict {
    /// The laws that saw nothing, but for these.
    pub(crate) fn blind<'a>(&'a self, but: &'a [Law]) -> impl Iterator<Item = &'static str> + 'a {
        let blind = self.rulings.iter().filter(|ruling| ruling.looked_at == 0);
        blind.filter(|ruling| !but.contains(&ruling.law)).map(|ruling| ruling.sentence)
    }

    /// Whether every law held.
    pub(crate) fn is_clean(&self) -> bool {
        self.rulings.iter().all(|ruling| ruling.broken == 0)
    }
}

/// What a history has not met with: situations, and laws that saw nothing to which they apply.
pub(crate) fn unmet(lines: &[Line]) -> Vec<&'static str> {
    let verdict = check(lines);
    let situations = SITUATIONS.iter().copied().chain([RESET]);
    let unmet = situations.filter(|what| verdict.figures.times(what) == 0);
    unmet.chain(verdict.blind(&AT_THE_END)).collect()
}

/// Laws about what is written down only at the end.
const AT_THE_END: [Law; 9] = [
    Law::Unended,
    Law::Late,
    Law::Attempts,
    Law::Effects,
    Law::Removed,
    Law::Whole,
    Law::Gathered,
    Law::Ticks,
    Law::Agreement,
];

/// Judges a history, whose lines are in the order of time.
pub(crate) fn check(lines: &[Line]) -> Verdict {
    let world = World::of(lines);
    let rulings = Law::ALL
        .iter()
        .map(|law| {
            let laws::Found { looked_at, broken: mut examples } = laws::judge(*law, &world);
            let broken = examples.len();
            examples.truncate(EXAMPLES_MAX);
            Ruling { law: *law, sentence: law.sentence(), looked_at, broken, examples }
        })
        .collect();
    Verdict { rulings, figures: Figures::of(&world) }
}
