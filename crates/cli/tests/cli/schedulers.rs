//! Schedules that two servers look at, as processes of their own over one store: each tick makes one
//! task, whichever server is killed meanwhile, and whatever becomes of the clock.

use std::time::Duration;

use serde_json::{Value, json};
use tasktonic_protocol::http::TaskPage;
use tasktonic_protocol::task::Task;
use tasktonic_store::clock::Clock;
use tasktonic_testkit::{OtherClock, Process, other_clock, redis, wait};

use crate::sites::{Site, ms};
use crate::support::{PATIENCE, said};

/// The shortest time between two ticks.
const EVERY_MS: i64 = 1_000;
/// Ticks while both servers are there, and while one of them is alone.
const TOGETHER: usize = 10;
const ALONE: usize = 3;
/// How long there is no server at all, and for how long it is looked whether what was removed still
/// makes tasks.
const NOBODY_MS: u64 = 3_000;
const REMOVED_MS: u64 = 3_000;
/// The schedule whose missed ticks are made up for one by one, and that of which the last of them is.
const EACH: &str = "each";
const LAST: &str = "last";

/// Two servers over one store, and a worker.
struct Pair {
    site: Site,
    /// How the second one is started.
    env: Vec<(String, String)>,
    second: Option<Process>,
    second_url: String,
}

impl Pair {
    fn start(site: Site, env: Vec<(String, String)>) -> Self {
        let mut pair = Self { site, env, second: None, second_url: String::new() };
        pair.start_second();
        pair
    }

    fn start_second(&mut self) {
        let mut command = self.site.another_server();
        let mut server = Process::start(command.envs(self.env.iter().cloned()));
        let line = server.line_with("\"listening\"", PATIENCE);
        let said: Value = serde_json::from_str(&line).expect("a line of the log is JSON");
        let address =
            said["fields"]["address"].as_str().unwrap_or_else(|| panic!("no address: {line}"));
        self.second_url = format!("http://{address}");
        self.second = Some(server);
    }

    /// The other clock is the one that the second server reads.
    fn second_is_ahead(&self) {
        let output = self.second.as_ref().expect("it runs").output();
        let line: Value =
            output.lines().find_map(|line| serde_json::from_str(line).ok()).expect("JSON");
        let its_ms = ms(line["timestamp"].as_str());
        let ahead_ms = its_ms - Clock::system().now_ms();
        // What was written a while ago.
        assert!(ahead_ms > (SECOND_AHEAD_S - 60) * 1_000, "{ahead_ms} ms ahead: {line}");
    }

    fn crash_second(&mut self) {
        self.second.take().expect("it runs").crash();
    }

    /// The server that is there; the first, if both are.
    fn url(&self) -> &str {
        if self.site.installation.server.is_some() {
            self.site.installation.url()
        } else {
            &self.second_url
        }
    }

    fn say(&self, args: &[&str]) -> String {
        said(self.site.installation.client().env("TASKTONIC_URL", self.url()).args(args))
    }

    /// Makes a schedule while everything runs.
    fn schedule(&self, name: &str, catch_up: &str) {
        let every = format!("{EVERY_MS}ms");
        let when = ["--every", every.as_str(), "--catch-up", catch_up];
        self.say(&[&["schedule", "add", name, "noop"][..], &when].concat());
    }

    /// The ticks of a schedule that made a task, in order and in ms, and those tasks.
    fn made(&self, name: &str) -> Vec<(i64, String)> {
        let text = self.say(&["task", "list", "--limit", "200", "--json"]);
        let page: TaskPage = serde_json::from_str(&text).expect("a page");
        assert!(page.next_cursor.is_none(), "more than one page: {text}");
        let one = |task: Task| {
            let by = task.schedule.filter(|by| by.name == name)?;
            Some((ms(by.at.as_deref()), task.id))
        };
        let mut made: Vec<_> = page.tasks.into_iter().filter_map(one).collect();
        made.sort_unstable();
        made
    }

    /// Waits for so many more ticks than there are.
    #[track_caller]
    fn wait_for_more(&self, more: usize) {
        let wanted = self.made(EACH).len() + more;
        wait::until(&format!("{wanted} ticks"), PATIENCE, || self.made(EACH).len() >= wanted);
    }

    /// Removes the schedules, after which nothing comes.
    fn remove(&self, names: &[&str]) {
        for name in names {
            self.say(&["schedule", "remove", name]);
        }
        let made = || names.iter().map(|name| self.made(name).len()).collect::<Vec<_>>();
        let before = made();
        std::thread::sleep(Duration::from_millis(REMOVED_MS));
        assert_eq!(made(), before, "removed, and still makes tasks");
    }

    /// The clock of the one Redis.
    fn store_s(&self) -> i64 {
        let said = self.site.its_redis().cli(&["TIME"]);
        said.lines().next().and_then(|line| line.parse().ok()).expect("a time")
    }

    /// The newest tick is not ahead of the store's clock, which is asked in whole seconds.
    fn none_is_before_its_time(&self) {
        let newest_ms = self.made(EACH).last().expect("there are ticks").0;
        let store_s = self.store_s();
        assert!(newest_ms < (store_s + 1) * 1_000, "{newest_ms} ms came before {store_s} s");
    }

    /// Each tick of a schedule came, none of them twice, and each task ran once.
    fn each_came_once(&self) -> usize {
        let made = self.made(EACH);
        for pair in made.windows(2) {
            assert_eq!(pair[1].0 - pair[0].0, EVERY_MS, "each once, and none left out: {made:?}");
        }
        self.all_ran_once(&made);
        made.len()
    }

    fn all_ran_once(&self, made: &[(i64, String)]) {
        self.site.wait_until_done(&self.site.demo());
        let ids: Vec<String> = made.iter().map(|(_, id)| id.clone()).collect();
        for one in self.site.histories(&self.site.demo(), &ids) {
            one.ran_once();
        }
    }
}

fn each_tick_makes_one_task(site: Site) {
    let mut pair = Pair::start(site, Vec::new());
    // It asks the store itself, whichever servers are there.
    let worker = pair.site.worker(&["--kinds", "noop"]);
    pair.site.wait_until_known([&worker]);
    pair.schedule(EACH, "all");
    pair.schedule(LAST, "one");
    pair.wait_for_more(TOGETHER);

    pair.site.crash_server();
    pair.wait_for_more(ALONE);
    pair.site.start_server();
    pair.wait_for_more(ALONE);
    pair.crash_second();
    pair.wait_for_more(ALONE);
    pair.start_second();
    pair.wait_for_more(ALONE);

    pair.site.crash_server();
    pair.crash_second();
    std::thread::sleep(Duration::from_millis(NOBODY_MS));
    pair.site.start_server();
    pair.start_second();
    pair.wait_for_more(ALONE);
    let shown: Value =
        serde_json::from_str(&pair.say(&["schedule", "show", LAST, "--json"])).expect("JSON");
    assert_eq!(shown["passed"]["reason"], json!("missed"), "{shown}");
    pair.remove(&[EACH, LAST]);

    let ticks = pair.each_came_once();
    let last = pair.made(LAST);
    let apart: Vec<i64> = last.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(apart.iter().all(|ms| *ms > 0 && ms % EVERY_MS == 0), "each once: {apart:?}");
    let nobody_ms = i64::try_from(NOBODY_MS).expect("a short time");
    assert!(apart.iter().any(|ms| *ms >= nobody_ms), "of those missed one alone: {apart:?}");
    pair.all_ran_once(&last);
    eprintln!("{ticks} ticks made a task each; where one is made up for, {}", last.len());
}

#[test]
fn two_servers_that_are_killed_make_one_task_of_each_tick_on_redis() {
    each_tick_makes_one_task(Site::redis());
}

#[test]
fn two_servers_that_are_killed_make_one_task_of_each_tick_on_a_cluster() {
    each_tick_makes_one_task(Site::cluster());
}

/// How far the store's clock is set ahead, and how far back from there: farther than a tick, and so far that it comes
/// past the ticks of before within the patience of a test.
const AHEAD_S: i64 = 20;
const BACK_S: i64 = 8;

/// How far the clock of the second server is ahead of that of the machine, all the time.
const SECOND_AHEAD_S: i64 = 3_600;

#[test]
fn two_servers_make_one_task_of_each_tick_though_clocks_differ_and_step_on_redis() {
    let scratch = tasktonic_testkit::Scratch::new();
    let clock = OtherClock::new(scratch.join("clock"));
    // The allocator that Debian's Redis is linked with asks for the time before the library can
    // answer.
    let server = redis::Server::Valkey;
    assert!(
        server.program().is_some(),
        "this test needs Valkey, which `cargo xtask test` installs"
    );
    let site =
        Site::redis_with(redis::Options { server, env: clock.env(), ..redis::Options::default() });
    // Ticks count by the store's clock, and nobody else's.
    let mut pair = Pair::start(site, other_clock::ahead(SECOND_AHEAD_S));
    pair.second_is_ahead();
    let worker = pair.site.worker(&["--kinds", "noop"]);
    pair.site.wait_until_known([&worker]);
    pair.schedule(EACH, "all");
    pair.wait_for_more(ALONE);
    pair.site.crash_server();
    pair.wait_for_more(ALONE);
    pair.none_is_before_its_time();
    pair.site.start_server();

    let before_s = pair.store_s();
    clock.set(AHEAD_S);
    wait::until("the clock to step", PATIENCE, || pair.store_s() >= before_s + AHEAD_S);
    // Those that it stepped over are missed, and made up for.
    pair.wait_for_more(usize::try_from(AHEAD_S).expect("a short time"));

    let before_s = pair.store_s();
    clock.set(AHEAD_S - BACK_S);
    wait::until("the clock to step back", PATIENCE, || pair.store_s() < before_s);
    let made = pair.made(EACH);
    pair.wait_for_more(ALONE);
    let newest_ms = made.last().expect("there are ticks").0;
    let again = pair.made(EACH).iter().filter(|(at, _)| *at <= newest_ms).count();
    assert_eq!(again, made.len(), "the clock went back over ticks, and one of them came again");

    pair.remove(&[EACH]);
    pair.none_is_before_its_time();
    eprintln!("{} ticks made a task each", pair.each_came_once());
}
