//! Laws of keys, whatever is submitted, taken and ended in whatever order.

use std::sync::Arc;

use proptest::prelude::*;

use tasktonic_core::command::{Command, Idempotency, KeyMode, NewTask, Replaced, Submit};
use tasktonic_core::reply::{Reply, Submitted};
use tasktonic_core::{TaskId, TaskState};

use crate::world::*;

/// The window of throttled keys, and how long others are remembered, ms.
const WINDOW_MS: i64 = 5_000;
const LONG_MS: i64 = 1_000_000_000;

fn modes() -> impl Strategy<Value = KeyMode> {
    let replace = KeyMode::Replace(Replaced { body: Arc::from(""), keep_s: 60 });
    prop::sample::select(vec![
        KeyMode::UntilDone,
        KeyMode::UntilStarted,
        KeyMode::Unique,
        KeyMode::Throttle,
        replace,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Of the tasks of one key at most one has not ended, or waits, or was accepted in a window; and
    /// whoever is not accepted is told of a task of which just that is so.
    #[test]
    fn what_a_key_promises_holds_at_every_moment(
        mode in modes(), steps in prop::collection::vec(any::<(u8, u16)>(), 1..150),
    ) {
        let mut world = World::new();
        let mut made: Vec<(TaskId, u128, i64)> = Vec::new();
        let mut leases = Vec::new();
        for (number, (verb, a)) in (0_u64..).zip(steps) {
            match verb % 6 {
                0..=2 => {
                    let (task, body) = (TaskId::new(1, number), u128::from(a % 2));
                    let ttl_ms = if mode == KeyMode::Throttle { WINDOW_MS } else { LONG_MS };
                    let key = Idempotency { mode: mode.clone(), ..Idempotency::new("k", body, ttl_ms) };
                    let due_ms = (a % 3 == 0).then_some(world.now_ms + i64::from(a));
                    let new = NewTask { idempotency: Some(key), due_ms, ..new_task("ana", task) };
                    let submit = Submit { created_ms: world.now_ms, tasks: vec![new] };
                    let Reply::Submit(answers) = world.apply(Command::Submit(submit)) else { panic!() };
                    match answers[0] {
                        Submitted::Accepted => made.push((task, body, world.now_ms)),
                        Submitted::Existing(known) | Submitted::Conflict(known) => {
                            let (task, first, at_ms) = *made.last().unwrap();
                            prop_assert_eq!(known, task, "another than the newest");
                            prop_assert!(counts(&world, &mode, task, at_ms));
                            let conflict = matches!(answers[0], Submitted::Conflict(_));
                            prop_assert_eq!(conflict, first != body && !mode.takes_any_body());
                            prop_assert!(!mode.replaces(), "the newest is always taken");
                        }
                        Submitted::LaneFull | Submitted::BytesFull => panic!("no cap is reached"),
                    }
                }
                3 => leases.extend(world.claim("w1", u32::from(a % 3))),
                4 if !leases.is_empty() => {
                    let lease = leases.swap_remove(usize::from(a) % leases.len());
                    world.report(&lease, ack(9));
                }
                _ => world.pass(i64::from(a % 2_000)),
            }
            let live = made.iter().filter(|(task, _, at_ms)| counts(&world, &mode, *task, *at_ms));
            let live = live.count();
            prop_assert!(live <= 1, "{live} tasks of {mode:?}");
        }
    }
}

/// Whether the key would stand for this task now, said without the engine's own words.
fn counts(world: &World, mode: &KeyMode, task: TaskId, at_ms: i64) -> bool {
    let state = world.state("ana", task);
    let waits = matches!(state, Some(TaskState::Queued | TaskState::Scheduled));
    match mode {
        KeyMode::UntilDone | KeyMode::Unique => waits || state == Some(TaskState::Running),
        KeyMode::UntilStarted | KeyMode::Replace(_) => waits,
        KeyMode::Throttle | KeyMode::Ttl => world.now_ms < at_ms + WINDOW_MS,
    }
}
