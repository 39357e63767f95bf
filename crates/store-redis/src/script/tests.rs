//! What can be said of the scripts without running a task.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use tasktonic_core::routing::{PartitionId, slot, tag};
use tasktonic_core::transitions::{TRANSITIONS, TaskState};
use tasktonic_core::{Name, Priority, TaskId, UserId, WorkerId};
use tasktonic_testkit::redis::{Options, Redis};

use super::{CONTROL, FLOW, LIBRARY, REPAIR, SHARED, SUBMIT, SYNC, Script, TICK};
use crate::keys::Keys;

/// Set to write the snapshots anew.
const REWRITE: &str = "TASKTONIC_SNAPSHOTS";

#[test]
fn no_fragment_changes_what_runs_unseen() {
    for script in [Script::Submit, Script::Sync, Script::Control, Script::Tick, Script::Flow] {
        let (name, text) = (script.name(), script.text());
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.lua.txt"));
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&file, text).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == text,
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
        if name == "names" {
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

/// Names that a declaration or an assignment begins with: `local a, b = …`, `a, b = …`.
fn names_of(line: &str) -> Vec<String> {
    let names = line.trim_start().trim_start_matches("local ");
    let names = names.split_once('=').map_or(names, |(names, _)| names);
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(ToOwned::to_owned).collect()
}

/// What a fragment sets to its beginning at each call.
fn begun(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for block in text.split("each_call(function()").skip(1) {
        let block = block.split_once("end)").expect("a block ends").0.replace(",\n", ",");
        names.extend(block.lines().filter(|line| line.contains('=')).flat_map(names_of));
    }
    names
}

#[test]
fn what_a_fragment_remembers_it_sets_to_its_beginning_at_each_call() {
    let mut fragments = Vec::from(SHARED);
    fragments.extend([SUBMIT, SYNC, CONTROL, FLOW, TICK, REPAIR].concat());
    let mut kept = 0;
    for (name, text) in fragments {
        let begun = begun(text);
        for line in text.lines() {
            if line.starts_with("local ") && !line.starts_with("local function") {
                for local in names_of(line) {
                    let is_constant = line.contains('=') && local.to_uppercase() == local;
                    kept += usize::from(!is_constant);
                    assert!(
                        is_constant || (begun.contains(&local) && !line.contains('=')),
                        "{name}: `{local}` lives from call to call. Declare it without a value, \
                         and give it one in each_call(function() … end); or, if it never \
                         changes, write it in capitals: {line}"
                    );
                }
            }
            let words = line.trim_start();
            let target = words.split_once(" = ").map_or("", |(target, _)| target);
            assert!(
                words == line || !target.starts_with("V.") || target.contains('('),
                "{name}: what V holds is there for every call; put this into M: {line}"
            );
        }
    }
    assert!(kept > 20, "only {kept} names are remembered");
}

#[test]
fn a_library_is_named_by_what_it_holds_and_has_a_function_for_each_script() {
    assert!(LIBRARY.text.starts_with(&format!("#!lua name={}\n", LIBRARY.name)));
    for (nth, script) in Script::ALL.iter().enumerate() {
        assert_eq!(*script as usize, nth);
        assert_eq!(script.function(), format!("{}_{}", LIBRARY.name, script.name()));
        assert_eq!(LIBRARY.text.matches(&format!("'{}'", script.function())).count(), 1);
    }
    let redis = Redis::start(Options::default());
    assert_eq!(redis.cli(&["FUNCTION", "LOAD", &LIBRARY.text]), LIBRARY.name);
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
        "local function each_call(begin) begin() end\n{}\nlocal u, q, w, t, k = unpack(ARGV)\n\
         return {{ META, LEASES, DUE, CANCELS, PARKED, USERS, UNSTARTED, SCHEDULES, NODES, LEADS, THROTTLED, PAUSED,\n\
         N.ring(q), N.full(q), N.running(q), N.pace(q), N.times(q), N.overrides(q), N.credit(q),\n\
         N.idle(q), N.sweep(60), N.wake(w), N.channel(u), N.lane(u, q), N.lane(u, q, 'h'), N.lane(u, q, 'l'), N.key(u, k), N.line(u, string.rep('0', 31) .. '7'),\n\
         N.user(u) .. 'd:' .. t, N.user(u) .. 't:' .. t, N.user(u) .. 'a:' .. t,\n\
         N.user(u) .. 'o:' .. t, N.user(u) .. 'e', N.user(u) .. 'z', N.user(u) .. 'i', N.schedules(u),\n\
         N.user(u) .. 'f:' .. t, N.parts(u, t), N.tally(u), N.user(u) .. 's:dead' }}",
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
        keys.times(&queue),
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
        keys.tally(&user),
        keys.listed(&user, TaskState::Dead),
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
            keys.throttled(), keys.times(&queue), keys.paused(), keys.aside(&user),
            keys.schedules(), keys.schedules_of(&user),
            keys.idle(&queue), keys.sweep(60), keys.wake(&worker), keys.events_channel(&user),
            keys.lane(&user, &queue, Priority::Normal), keys.lane(&user, &queue, Priority::High),
            keys.lane(&user, &queue, Priority::Low), keys.idempotency(&user, &key), keys.descriptor(&user, task),
            keys.state(&user, task), keys.attempts(&user, task), keys.log(&user, task),
            keys.events(&user), keys.index(&user), keys.line(&user, 7), keys.echo("process"),
            keys.nodes(), keys.leads(), keys.links(&user, task), keys.parts(&user, task),
            keys.tally(&user),
            keys.listed(&user, TaskState::Dead), keys.listed(&user, TaskState::Waiting),
        ];
        let home = slot(&tag(p, partitions));
        for name in &all {
            prop_assert_eq!(slot(hashed(name)), home, "{}", name);
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        prop_assert_eq!(distinct.len(), all.len());
    }
}
