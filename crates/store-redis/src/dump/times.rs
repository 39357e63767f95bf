//! Run times as they lie in Redis: said as the model says them, and looked at whether they may be
//! there. Knows nothing of turns by count.

use tasktonic_core::Name;
use tasktonic_core::partition::{charged_line, meter_line, share_line};
use tasktonic_core::policy::turns::{Charged, Meter, Share};
use tasktonic_core::settings::Turns;

use super::Facts;

/// The field that says how far the time of a queue is.
const METER: &str = ".";

/// What is kept of run times, one line for each fact.
pub(super) fn lines(facts: &Facts) -> Vec<String> {
    let fields =
        facts.times.iter().flat_map(|(queue, fields)| fields.iter().map(move |of| (queue, of)));
    fields.filter_map(|(queue, (field, text))| line(queue, field, text)).collect()
}

/// What a field says; nothing where that is what holds without it.
fn line(queue: &Name, field: &str, text: &str) -> Option<String> {
    let numbers: Vec<i64> = text.split(',').filter_map(|number| number.parse().ok()).collect();
    let said = || match (field.split_once(','), &numbers[..]) {
        (Some((user, task)), [since_lt, ms, weight]) => {
            let weight = u32::try_from(*weight).ok()?;
            let charged = Charged { since_lt: *since_lt, ms: *ms, weight };
            Some(charged_line(queue, &user.parse().ok()?, task.parse().ok()?, &charged))
        }
        (None, [at_us, turn_ms]) if field == METER => {
            Some(meter_line(queue, &Meter { at_us: *at_us, turn_ms: *turn_ms }))
        }
        (None, [due_us, mean_ms, away @ ..]) => {
            let share = Share { due_us: *due_us, mean_ms: *mean_ms, is_away: *away == [1] };
            Some(share_line(queue, &field.parse().ok()?, &share))
        }
        _ => None,
    };
    let said =
        said().unwrap_or_else(|| format!("time {queue} {field:?} = {text:?}, which is none"));
    (said != meter_line(queue, &Meter::default())).then_some(said)
}

/// Run time is kept where it is shared, and charged for what runs.
pub(super) fn check(facts: &Facts, wrong: &mut Vec<String>) {
    let queues = facts.queues();
    for (queue, fields) in &facts.times {
        if queues.get(queue).is_none_or(|(_, set)| set.turns == Turns::Count) {
            wrong.push(format!("run time is kept of {queue}, where turns are counted"));
        }
        let held = |field: &str| {
            facts.leases.iter().any(|(_, l)| format!("{},{}", l.user, l.task) == field)
        };
        for field in fields.keys().filter(|field| field.contains(',') && !held(field)) {
            wrong.push(format!("{field} is charged in {queue} and does not run"));
        }
    }
}
