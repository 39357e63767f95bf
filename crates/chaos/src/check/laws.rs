//! The laws, one function each: how much it looked at, and one line for each place where it did not
//! hold. Here are those of single tasks and of what is heard of them.

mod flows;
mod keys;
mod limits;
mod lines;
mod many;
mod ticks;

use std::collections::BTreeMap;

use super::Law;
use super::world::{Story, World, is_built_in, is_end};
use crate::history::{Line, Op, Phase};

/// How late something that can run may start, ms: what is promised of a worker that died.
const LATE_MS: u64 = 15_000;
/// How far before its time a task may be seen to start, ms: clocks are read at different places.
const EARLY_MS: u64 = 250;

/// What a law came to: how much it looked at, and where it did not hold.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) looked_at: usize,
    pub(super) broken: Vec<String>,
}

impl Found {
    /// One more thing to which the law applies.
    fn look(&mut self) {
        self.looked_at += 1;
    }

    /// It did not hold here.
    fn say(&mut self, text: String) {
        self.broken.push(text);
    }
}

/// What came of `law`.
pub(super) fn judge(law: Law, world: &World<'_>) -> Found {
    match law {
        Law::Lost => lost(world),
        Law::Unended => unended(world),
        Law::Late => late(world),
        Law::Unexpected => unexpected(world),
        Law::Keys => keys::keys(world),
        Law::EndsOnce => each(world, ends_once),
        Law::Stale => each(world, stale),
        Law::Fences => each(world, fences),
        Law::Attempts => each(world, attempts),
        Law::Effects => each(world, effects),
        Law::Early => early(world),
        Law::Cancelled => each(world, cancelled),
        Law::Edited => each(world, edited),
        Law::Removed => each(world, removed),
        Law::Order => order(world),
        Law::Agreement => each(world, agreement),
        Law::Processes => processes(world),
        Law::Ties => flows::ties(world),
        Law::Whole => flows::whole(world),
        Law::Gathered => flows::gathered(world),
        Law::Callback => flows::callback(world),
        Law::Modes => lines::modes(world),
        Law::Serial => lines::serial(world),
        Law::Running => limits::running(world),
        Law::Total => limits::total(world),
        Law::Rate => limits::rate(world),
        Law::Paused => limits::paused(world),
        Law::Labels => many::labels(world),
        Law::Items => many::items(world),
        Law::Ticks => ticks::ticks(world),
    }
}

/// A law of single tasks.
fn each(world: &World<'_>, law: fn(&World<'_>, &Story<'_>, &mut Found)) -> Found {
    let mut all = Found::default();
    for (task, story) in &world.tasks {
        let mut found = Found::default();
        law(world, story, &mut found);
        all.looked_at += found.looked_at;
        all.broken.extend(found.broken.into_iter().map(|text| format!("task {task}: {text}")));
    }
    all
}

fn lost(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (nonce, _, tasks) in world.accepted() {
        for task in tasks {
            found.look();
            let end = world.tasks.get(task).and_then(|story| story.ends);
            if world.may_be_removed(task) {
                continue;
            }
            if end.is_none_or(|end| end.status.as_deref() == Some("absent")) {
                found.say(format!("task {task} ({nonce}) was accepted and is nowhere"));
            }
        }
    }
    found
}

fn unended(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (task, story) in &world.tasks {
        let Some(end) = story.ends else { continue };
        found.look();
        let status = end.status.as_deref();
        if !is_end(status) && status != Some("absent") {
            found.say(format!("task {task} is {} at the end", status.unwrap_or("nothing")));
        }
    }
    found
}

/// Of what had not ended when everything was healed, and of what came later.
fn late(world: &World<'_>) -> Found {
    let Some(healed) = world.since("healed") else { return Found::default() };
    let mut found = Found::default();
    for (nonce, intent, tasks) in world.accepted() {
        // Of others it is not known when they could run.
        if intent.is_bound() {
            continue;
        }
        for task in tasks {
            let Some(story) = world.tasks.get(task) else { continue };
            let submitted = intent.sendings.iter().filter_map(|c| c.done_at()).min().unwrap_or(0);
            let due = intent.sendings.iter().map(|call| call.invoked.due);
            let moved = story.calls_of(Op::Reschedule).map(|call| call.invoked.due);
            let due = due.chain(moved).flatten().max().unwrap_or(0);
            let heard: Vec<&Line> = story.events.iter().chain(&story.snapshots).copied().collect();
            let before = heard.iter().filter(|l| l.t <= healed).max_by_key(|l| (l.t, l.rev));
            if before.is_some_and(|line| is_end(line.status.as_deref())) {
                continue;
            }
            found.look();
            let can_run = healed.max(due).max(submitted);
            let ends = heard.iter().filter(|line| is_end(line.status.as_deref())).copied();
            let next =
                story.starts.iter().copied().chain(ends).map(|l| l.t).filter(|t| *t > healed);
            if let Some(next) = next.min().filter(|next| *next > can_run + LATE_MS) {
                let after = next - can_run;
                found.say(format!("task {task} ({nonce}) went on only {after} ms after it could"));
            }
        }
    }
    found
}

fn unexpected(world: &World<'_>) -> Found {
    let mut found = Found::default();
    let mut judge = |line: &Line, verb: &str| {
        let Some(nonce) = line.nonce.as_deref() else { return };
        // Those of a schedule have one nonce, and a law of their own.
        if world.is_of_schedule(nonce) {
            return;
        }
        found.look();
        let task = line.task.as_deref().unwrap_or("?");
        match world.intents.get(nonce) {
            None => found.say(format!("task {task} ({nonce}) {verb}, and nobody asked for it")),
            Some(intent) if intent.is_refused() => {
                found.say(format!("task {task} ({nonce}) {verb}, and was refused"));
            }
            Some(_) => {}
        }
    };
    for story in world.tasks.values() {
        if let Some(start) = story.starts.first() {
            judge(start, "ran");
        }
        if let Some(end) = story.ends {
            judge(end, "is there");
        }
    }
    found
}

fn ends_once(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let heard = story.events.iter().chain(&story.snapshots);
    let mut ends: BTreeMap<u64, &Line> = BTreeMap::new();
    for line in heard.chain(story.ends.iter()).filter(|line| is_end(line.status.as_deref())) {
        ends.entry(line.rev.unwrap_or(0)).or_insert(line);
    }
    found.looked_at = ends.len();
    // A call for a whole flow that is repeated because its answer was lost may send back what ended meanwhile.
    let meanwhile = |end: &&&Line| world.may_have_sent_flow_back(story, end.t);
    let lives = 1 + world.sendings_back(story).count() + ends.values().filter(meanwhile).count();
    let last = ends.values().map(|line| line.t).max().unwrap_or(0);
    let kept = ends.values().filter(|line| !world.may_be_forgotten(line.t, last)).count();
    if kept <= lives {
        return;
    }
    let all: Vec<String> = ends
        .values()
        .map(|line| {
            format!("{} at rev {}", line.status.as_deref().unwrap_or(""), line.rev.unwrap_or(0))
        })
        .collect();
    found.say(format!("it ended {kept} times in {lives} lives: {}", all.join(", ")));
}

/// What is shown at the end, and what was shown on the way, is of the newest claim.
fn stale(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    if let (Some(end), Some(newest)) = (story.ends, story.newest_start()) {
        found.look();
        let shown =
            end.token.filter(|_| matches!(end.status.as_deref(), Some("completed" | "failed")));
        if let Some(shown) = shown
            && newest.token > Some(shown)
            && !world.may_be_forgotten(newest.t, end.t)
        {
            found.say(format!(
                "its end is of fence {shown}, and fence {} had begun",
                newest.token.unwrap_or(0)
            ));
        }
    }
    let mut before: Option<&Line> = None;
    for line in story.progress.iter().filter(|line| line.token.is_some()) {
        found.look();
        if let Some(before) = before.filter(|before| before.token > line.token)
            && !world.may_be_forgotten(before.t, line.t)
        {
            found.say(format!(
                "progress of fence {} was shown after that of {}",
                line.token.unwrap_or(0),
                before.token.unwrap_or(0)
            ));
        }
        before = Some(line);
    }
    for pair in story.log_lines.windows(2) {
        found.look();
        let began = story.starts.iter().find(|start| start.token == pair[0].token);
        let t = began.map_or(0, |start| start.t);
        if pair[0].token > pair[1].token && !world.may_be_forgotten(t, pair[1].t) {
            found.say(format!(
                "a log line of fence {} stands behind one of {}",
                pair[1].token.unwrap_or(0),
                pair[0].token.unwrap_or(0)
            ));
        }
    }
}

fn fences(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let mut starts = story.starts.clone();
    starts.sort_by_key(|start| start.token);
    let mut falls = 0;
    found.looked_at = starts.len();
    for pair in starts.windows(2) {
        if pair[0].token == pair[1].token {
            found.say(format!("two attempts began with fence {}", pair[0].token.unwrap_or(0)));
        }
        if pair[0].attempt > pair[1].attempt && !world.may_be_forgotten(pair[0].t, pair[1].t) {
            falls += 1;
        }
    }
    // Attempts are counted anew in every life.
    if falls > world.sendings_back(story).count() {
        found.say(format!("the count of attempts fell {falls} times while fences rose"));
    }
}

fn attempts(_: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let Some(max) = story.ends.and_then(|end| end.attempts_max) else { return };
    found.look();
    let said = story.starts.iter().chain(&story.events).chain(story.ends.iter());
    let above = said.filter_map(|line| line.attempt).max().filter(|attempt| *attempt > max);
    if let Some(attempt) = above {
        found.say(format!("attempt {attempt} of {max}"));
    }
}

fn effects(_: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let Some(end) = story.ends.filter(|end| end.status.as_deref() == Some("completed")) else {
        return;
    };
    // A flow is done by its parts.
    if is_built_in(end) {
        return;
    }
    found.look();
    let done = story.commits.iter().any(|commit| commit.token == end.token);
    if done && end.token.is_some() {
        return;
    }
    found.say(format!("it is completed by fence {:?}, which did not do it", end.token));
}

fn early(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (nonce, intent, tasks) in world.accepted() {
        let Some(due) = intent.sendings.iter().filter_map(|call| call.invoked.due).min() else {
            continue;
        };
        for task in tasks {
            let Some(story) = world.tasks.get(task) else { continue };
            found.look();
            // It may have been moved to an earlier time, or ended and been sent back.
            let moved = story.calls.iter().filter(|call| {
                matches!(call.invoked.op, Op::Reschedule | Op::Retry) && call.may_have_happened()
            });
            let moved = moved.map(|call| call.invoked.t).min().unwrap_or(u64::MAX);
            if let Some(start) = story.starts.first()
                && start.t + EARLY_MS < due
                && start.t < moved
            {
                let ms = due - start.t;
                found.say(format!("task {task} ({nonce}) began {ms} ms before its time"));
            }
        }
    }
    found
}

fn cancelled(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    for call in story.calls_of(Op::Cancel) {
        let Some(end) = call
            .ended
            .filter(|end| end.phase == Phase::Ok && end.status.as_deref() == Some("cancelled"))
        else {
            continue;
        };
        found.look();
        let sent_back = world
            .sendings_back(story)
            .any(|retry| retry.ended.is_none_or(|answer| answer.t >= call.invoked.t));
        let before = story.starts.iter().filter(|start| start.t <= end.t);
        let newest = before.filter_map(|start| start.token).max().unwrap_or(0);
        let after = story.starts.iter().find(|s| s.t > end.t && s.token > Some(newest));
        if let Some(start) = after
            && !sent_back
            && !world.may_be_forgotten(end.t, start.t)
        {
            let ms = start.t - end.t;
            found.say(format!("it began {ms} ms after its cancellation was answered"));
        }
    }
}

fn edited(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let edits: Vec<_> = story.calls_of(Op::Edit).collect();
    for start in &story.starts {
        let Some(version) = start.version else { continue };
        if edits.is_empty() && version == 0 {
            continue;
        }
        found.look();
        let asked = version == 0 || edits.iter().any(|edit| edit.invoked.version == Some(version));
        if !asked {
            found.say(format!("it ran with version {version}, which no edit made"));
        }
        // Versions rise with the calls of the one user who makes them. An attempt that was claimed
        // before the edit cannot be: the edit would have been refused.
        let known = edits.iter().filter(|edit| {
            edit.done_at().is_some_and(|t| t <= start.t && !world.may_be_forgotten(t, start.t))
        });
        if let Some(newest) = known.filter_map(|edit| edit.invoked.version).max()
            && version < newest
        {
            found.say(format!("it ran with version {version} after edit {newest} was accepted"));
        }
    }
}

fn order(world: &World<'_>) -> Found {
    let mut found = Found::default();
    for (eyes, lines) in &world.streams {
        let mut at: Option<(u32, u64)> = None;
        let mut asked = false;
        for line in lines {
            let here = line.epoch.zip(line.seq);
            match line.op {
                Op::Reset => at = None,
                Op::Snapshot => at = here,
                // A hole that the client sees and asks about is no fault; what follows is judged.
                Op::Gap => asked = true,
                Op::Hello => asked = false,
                Op::Event => {
                    found.look();
                    if let (Some((epoch, seq)), Some((new_epoch, new_seq))) = (at, here) {
                        let follows = epoch == new_epoch && (new_seq == seq || new_seq == seq + 1);
                        if !follows {
                            let (a, b) = ((epoch, seq), (new_epoch, new_seq));
                            found.say(format!(
                                "{eyes}: event {b:?} came after {a:?} (asked: {asked})"
                            ));
                        }
                    }
                    at = here;
                }
                _ => {}
            }
        }
    }
    let revs = each(world, revs);
    found.looked_at += revs.looked_at;
    found.broken.extend(revs.broken);
    found
}

/// Within an epoch revs of logged events rise.
fn revs(_: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let mut newest: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for line in &story.events {
        let (Some(epoch), Some(seq), Some(rev)) = (line.epoch, line.seq, line.rev) else {
            continue;
        };
        found.look();
        if let Some((before, rev_before)) = newest.get(&epoch)
            && *before < seq
            && *rev_before >= rev
        {
            found.say(format!("rev {rev} of event {seq} came after rev {rev_before}"));
        }
        newest.insert(epoch, (seq, rev));
    }
}

fn agreement(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let Some(end) = story.ends else { return };
    let heard = story.events.iter().chain(&story.snapshots);
    let Some(last) = heard.max_by_key(|line| (line.epoch, line.seq, line.rev)) else {
        return;
    };
    found.look();
    let same = last.rev == end.rev && last.status == end.status;
    if same || end.status.as_deref() == Some("absent") {
        return;
    }
    // A snapshot holds the newest tasks; of an older one that changed before it nothing is heard.
    let stream = world.streams.get(last.proc.as_str());
    if stream.is_some_and(|all| all.iter().any(|l| l.op == Op::Reset && l.t >= last.t)) {
        return;
    }
    let text = |line: &Line| {
        format!("{} at rev {}", line.status.as_deref().unwrap_or("?"), line.rev.unwrap_or(0))
    };
    found.say(format!("heard was {}, and it is {}", text(last), text(end)));
}

fn processes(world: &World<'_>) -> Found {
    let mut found = Found { looked_at: world.faults.len(), ..Found::default() };
    for mark in world.marks.iter().filter(|mark| mark.phase == Phase::Fail) {
        let [what, why] = [&mark.status, &mark.why].map(|text| text.as_deref().unwrap_or(""));
        found.say(format!("{} {what}: {why}", mark.proc));
    }
    found
}

/// What was removed stays removed.
fn removed(world: &World<'_>, story: &Story<'_>, found: &mut Found) {
    let Some(end) = story.ends else { return };
    for call in story.calls_of(Op::Purge) {
        let Some(at) = call.done_at() else { continue };
        found.look();
        let is_there = end.status.as_deref() != Some("absent");
        if is_there && !world.may_be_forgotten(at, end.t) {
            let status = end.status.as_deref().unwrap_or("?");
            found.say(format!("it was removed, and is {status} at the end"));
        }
    }
}
