//! What can be said of the scripts without running a task.

use std::path::Path;

use proptest::prelude::*;
use tasktonic_core::routing::{PartitionId, slot, tag};
use tasktonic_core::transitions::{TRANSITIONS, TaskState};
use tasktonic_core::{Name, Priority, TaskId, UserId, WorkerId};
use tasktonic_testkit::redis::{Options, Redis};

use super::{CONTROL, FLOW, SHARED, SUBMIT, SYNC, TICK};
use crate::keys::Keys;

/// Set to write the snapshots anew.
const REWRITE: &str = "TASKTONIC_SNAPSHOTS";

#[test]
fn no_fragment_changes_what_runs_unseen() {
    let all = [
        ("submit", &*SUBMIT),
        ("sync", &*SYNC),
        ("control", &*CONTROL),
        ("tick", &*TICK),
        ("flow", &*FLOW),
    ];
    for (name, text) in all {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.lua.txt"));
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&file, text).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == *text,
            "the script {name} is not that of {}; look at what changed after running the tests \
             with {REWRITE}=1",
            file.display()
        );
    }
}

#[test]
fn every_fragment_says_what_it_reads_replies_and_moves_and_moves_only_what_the_table_has() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lua");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        // Those for the facts of a partition and the installation run as they are.
        if text.starts_with("#!lua") || name == "names" {
            continue;
        }
        assert!(text.starts_with(&format!("-- {name}: ")), "{name} says what it is");
        let head: String = text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .map(|line| line.trim_start_matches('-').trim())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(head.contains("reads:") && head.contains("replies:"), "{name}: {head}");
        let moves = head.split_once("moves:").unwrap_or_else(|| panic!("{name}: {head}")).1;
        for pair in moves.split(',').filter_map(|pair| pair.trim().split_once(" -> ")) {
            let to = pair.1.split([' ', '.']).next().unwrap();
            if pair.0 == "nothing" || to == "gone" {
                continue;
            }
            let state = |word: &str| TaskState::from_name(word).unwrap_or_else(|| panic!("{word}"));
            let (from, to) = (state(pair.0), state(to));
            let known = TRANSITIONS.iter().any(|(a, _, b)| (*a, *b) == (from, to));
            assert!(known, "{name} moves {} -> {}", from.name(), to.name());
        }
    }
}

#[test]
fn scripts_spell_names_as_keys_does() {
    let redis = Redis::start(Options::default());
    let keys = Keys::of(PartitionId(3), 8);
    let (user, queue) =
        (UserId::encode("ana@example.com"), "a.b-c_9+eu+gpu".parse::<Name>().unwrap());
    let (worker, task) = ("w-1".parse::<WorkerId>().unwrap(), TaskId::new(7, 9));
    let key = "k: {}\u{e9}";
    let script = format!(
        "{}\nlocal u, q, w, t, k = unpack(ARGV)\n\
         return {{ META, LEASES, DUE, CANCELS, PARKED, USERS, UNSTARTED, SCHEDULES, NODES, LEADS, THROTTLED, PAUSED,\n\
         N.ring(q), N.full(q), N.running(q), N.pace(q), N.overrides(q), N.credit(q),\n\
         N.idle(q), N.sweep(60), N.wake(w), N.channel(u), N.lane(u, q), N.lane(u, q, 'h'), N.lane(u, q, 'l'), N.key(u, k), N.line(u, string.rep('0', 31) .. '7'),\n\
         N.user(u) .. 'd:' .. t, N.user(u) .. 't:' .. t, N.user(u) .. 'a:' .. t,\n\
         N.user(u) .. 'o:' .. t, N.user(u) .. 'e', N.user(u) .. 'z', N.user(u) .. 'i', N.schedules(u),\n\
         N.user(u) .. 'f:' .. t, N.parts(u, t) }}",
        SHARED[0].1
    );
    let (meta, canary, id) = (keys.meta(), keys.canary(), task.to_string());
    let words =
        ["EVAL", &script, "2", &meta, &canary, user.as_str(), queue.as_str(), "w-1", &id, key];
    let said = redis.ask(&words);
    let said: Vec<String> =
        said.items().iter().map(tasktonic_testkit::redis::Reply::text).collect();
    let expected = [
        keys.meta(),
        keys.leases(),
        keys.due(),
        keys.cancels(),
        keys.parked(),
        keys.users(),
        keys.unstarted(),
        keys.schedules(),
        keys.nodes(),
        keys.leads(),
        keys.throttled(),
        keys.paused(),
        keys.ring(&queue),
        keys.full(&queue),
        keys.running(&queue),
        keys.pace(&queue),
        keys.overrides(&queue),
        keys.credit(&queue),
        keys.idle(&queue),
        keys.sweep(60),
        keys.wake(&worker),
        keys.events_channel(&user),
        keys.lane(&user, &queue, Priority::Normal),
        keys.lane(&user, &queue, Priority::High),
        keys.lane(&user, &queue, Priority::Low),
        keys.idempotency(&user, key),
        keys.line(&user, 7),
        keys.descriptor(&user, task),
        keys.state(&user, task),
        keys.attempts(&user, task),
        keys.log(&user, task),
        keys.events(&user),
        keys.aside(&user),
        keys.index(&user),
        keys.schedules_of(&user),
        keys.links(&user, task),
        keys.parts(&user, task),
    ];
    assert_eq!(said, expected);
}

/// The part of a key that Redis hashes.
fn hashed(key: &str) -> &str {
    let Some((_, rest)) = key.split_once('{') else { return key };
    match rest.split_once('}') {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => key,
    }
}

proptest! {
    #[test]
    fn all_keys_of_a_call_are_in_one_slot_whatever_users_are_called(
        subject in ".{0,80}|[{}:|*?,~]{1,40}",
        key in ".{0,80}|[{}:]{0,40}",
        queue in "[A-Za-z0-9_.-]{1,64}",
        worker in "[A-Za-z0-9_-]{1,40}",
        partitions in 1_u16..=256,
        at in 0..1i64 << 47,
        random: u64,
    ) {
        let user = UserId::encode(&subject);
        let p = tasktonic_core::routing::partition_of(&user, partitions);
        let keys = Keys::of(p, partitions);
        let (queue, task) = (queue.parse::<Name>().unwrap(), TaskId::new(at, random));
        let worker = worker.parse::<WorkerId>().unwrap();
        let all = [
            keys.meta(), keys.canary(), keys.leases(), keys.due(), keys.cancels(), keys.parked(),
            keys.users(), keys.unstarted(), keys.ring(&queue), keys.overrides(&queue),
            keys.credit(&queue), keys.full(&queue), keys.running(&queue), keys.pace(&queue),
            keys.throttled(), keys.paused(), keys.aside(&user),
            keys.schedules(), keys.schedules_of(&user),
            keys.idle(&queue), keys.sweep(60), keys.wake(&worker), keys.events_channel(&user),
            keys.lane(&user, &queue, Priority::Normal), keys.lane(&user, &queue, Priority::High),
            keys.lane(&user, &queue, Priority::Low), keys.idempotency(&user, &key), keys.descriptor(&user, task),
            keys.state(&user, task), keys.attempts(&user, task), keys.log(&user, task),
            keys.events(&user), keys.index(&user), keys.line(&user, 7), keys.echo("process"),
            keys.nodes(), keys.leads(), keys.links(&user, task), keys.parts(&user, task),
        ];
        let home = slot(&tag(p, partitions));
        for name in &all {
            prop_assert_eq!(slot(hashed(name)), home, "{}", name);
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        prop_assert_eq!(distinct.len(), all.len());
    }
}
