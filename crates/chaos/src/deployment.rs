//! A full deployment for a run: the store, servers and workers as real processes of the product,
//! and the lines between them. It says how each is started and reached, and breaks nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tasktonic_client::{Client, Credentials, Token, Waits};
use tasktonic_testkit::cluster::Cluster;
use tasktonic_testkit::redis::{Aof, Options, Redis};
use tasktonic_testkit::relay::Relay;
use tasktonic_testkit::{FaultProxy, ports};

use crate::attempt::{HISTORY, WORKER};
use crate::process::{ReadyWord, Slot};

/// The kind of a run's tasks.
pub(crate) const KIND: &str = "chaos.step";
/// Kinds, and queues, in which something is set: at most so many of a user run, at most so many of all
/// users run, at most so many start in a time, and an operator pauses it.
pub(crate) const LIMITED: &str = "chaos.limited";
pub(crate) const SHARED: &str = "chaos.shared";
pub(crate) const RATED: &str = "chaos.rated";
pub(crate) const PAUSED: &str = "chaos.paused";
const KINDS: [&str; 5] = [KIND, LIMITED, SHARED, RATED, PAUSED];
/// Labels that tasks need.
pub(crate) const LABELS: &[&str] = &["gpu", "eu"];
/// What each worker has, by its place: one lacks all, and one has all.
const LABELS_OF: [&[&str]; WORKERS] = [&["eu"], &["gpu"], &["gpu", "eu"], &[]];
/// Workers. The first reaches its store through a server, in every form.
pub(crate) const WORKERS: usize = 4;
/// Attempts of one worker at once.
const CONCURRENCY: u32 = 6;
/// How long a worker that is asked to stop lets attempts go on, s.
const DRAIN_S: u32 = 2;
/// How long a lease is, ms: what workers ask for unless told otherwise.
pub(crate) const LEASE_MS: u64 = 10_000;

/// What the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// One server with its store in it; workers over HTTP.
    Embedded,
    /// Two servers and workers over one Redis that writes at once.
    Redis,
    /// The same over three masters with a replica each.
    Cluster,
}

impl Form {
    /// Its word on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
            Self::Cluster => "cluster",
        }
    }

    /// What an acknowledgement says in it.
    const fn durability(self) -> Option<&'static str> {
        match self {
            Self::Embedded => None,
            Self::Redis => Some("disk"),
            Self::Cluster => Some("replicated"),
        }
    }

    const fn servers(self) -> usize {
        match self {
            Self::Embedded => 1,
            Self::Redis | Self::Cluster => 2,
        }
    }
}

/// The store as far as it is a process of its own.
pub(crate) enum Backing {
    /// It is in the server.
    Embedded,
    /// A server of Redis behind a proxy that makes faults.
    Redis(Box<Redis>, FaultProxy),
    /// A cluster.
    Cluster(Box<Cluster>),
}

/// All of it.
pub(crate) struct Deployment {
    pub(crate) backing: Backing,
    pub(crate) servers: Vec<Slot>,
    pub(crate) workers: Vec<Slot>,
    /// A line to each server, by its place.
    pub(crate) relays: Vec<Relay>,
    program: PathBuf,
    data: PathBuf,
}

impl Deployment {
    /// Starts everything below `folder`; attempts write into the history at `history`.
    ///
    /// # Errors
    /// What did not start, and where its words are.
    pub(crate) fn start(form: Form, program: &Path, folder: &Path, history: &Path) -> Result<Self> {
        let data = folder.join("data");
        let logs = folder.join("logs");
        for made in [&data, &logs] {
            std::fs::create_dir_all(made).with_context(|| made.display().to_string())?;
        }
        let (backing, store) = backing(form, &data);
        let ports = ports::several(2 * form.servers());
        let mut deployment = Self {
            backing,
            servers: Vec::new(),
            workers: Vec::new(),
            relays: Vec::new(),
            program: program.to_owned(),
            data: data.clone(),
        };
        for (place, pair) in ports.chunks(2).enumerate() {
            deployment.relays.push(Relay::start(pair[1], pair[0]));
            let (program, data, store) = (program.to_owned(), data.clone(), store.clone());
            let origins = [pair[0], pair[1]].map(|port| format!("http://127.0.0.1:{port}"));
            let port = pair[0].to_string();
            let command = move || {
                let mut command = product(&program);
                command
                    .args(["serve", "--store", &store, "--port", &port])
                    .arg("--data")
                    .arg(&data);
                command
                    .args(form.durability().into_iter().flat_map(|class| ["--durability", class]));
                command.args(origins.iter().flat_map(|origin| ["--origin", origin]));
                command
            };
            let name = format!("server-{place}");
            let log = logs.join(format!("{name}.log"));
            let mut server = Slot::new(name, ReadyWord::Listening, log, command);
            server.start()?;
            deployment.servers.push(server);
        }
        for place in 0..WORKERS {
            let by_server = form == Form::Embedded || place == 0;
            let mut worker = deployment.worker(form, place, by_server, &store, folder, history)?;
            worker.start()?;
            deployment.workers.push(worker);
        }
        Ok(deployment)
    }

    fn worker(
        &self,
        form: Form,
        place: usize,
        by_server: bool,
        store: &str,
        folder: &Path,
        history: &Path,
    ) -> Result<Slot> {
        let name = format!("worker-{place}");
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, kinds(&name, history)?)?;
        let (program, data) = (self.program.clone(), self.data.clone());
        let token = by_server.then(|| self.mint(&name, "worker")).transpose()?;
        let url = self.url(place % self.relays.len());
        let store = store.to_owned();
        let log = folder.join("logs").join(format!("{name}.log"));
        Ok(Slot::new(name, ReadyWord::Working, log, move || {
            let mut command = product(&program);
            command.args(["work", "--drain", &DRAIN_S.to_string()]);
            command.args(["--kinds", &KINDS.join(",")]);
            command.args(LABELS_OF[place].iter().flat_map(|label| ["--label", label]));
            command.args(["--concurrency", &CONCURRENCY.to_string()]).arg("--config").arg(&config);
            match &token {
                Some(token) => {
                    command.args(["--server", &url]).env("TASKTONIC_TOKEN", token.reveal());
                }
                None => {
                    command.args(["--store", &store]).arg("--data").arg(&data);
                    command.args(
                        form.durability().into_iter().flat_map(|class| ["--durability", class]),
                    );
                }
            }
            command
        }))
    }

    /// Where the server in `place` is reached.
    fn url(&self, place: usize) -> String {
        format!("http://127.0.0.1:{}", self.relays[place].port())
    }

    /// A client of `user` per server. They repeat nothing by themselves: every sending is a line
    /// of the history.
    ///
    /// # Errors
    /// When no token can be had.
    pub(crate) fn clients(&self, user: &str) -> Result<Vec<Client>> {
        self.clients_as(user, "user")
    }

    /// Clients of an operator, as [`Deployment::clients`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn operator(&self) -> Result<Vec<Client>> {
        self.clients_as("operator", "operator")
    }

    fn clients_as(&self, user: &str, role: &str) -> Result<Vec<Client>> {
        let token = self.mint(user, role)?;
        let waits = Waits {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(6),
            part: Duration::from_secs(6),
            repeat: Duration::ZERO,
        };
        (0..self.relays.len())
            .map(|place| {
                let credentials: std::sync::Arc<dyn Credentials> =
                    std::sync::Arc::new(token.clone());
                Ok(Client::with(&self.url(place), credentials, waits.clone())?)
            })
            .collect()
    }

    fn mint(&self, user: &str, role: &str) -> Result<Token> {
        let mut command = product(&self.program);
        command.args(["token", "mint", "--user", user, "--role", role, "--ttl", "1d"]);
        let said = command.arg("--data").arg(&self.data).output()?;
        if !said.status.success() {
            bail!("no token for {user}: {}", String::from_utf8_lossy(&said.stderr).trim());
        }
        Ok(Token::new(String::from_utf8_lossy(&said.stdout)))
    }
}

fn backing(form: Form, data: &Path) -> (Backing, String) {
    match form {
        Form::Embedded => (Backing::Embedded, format!("embedded:{}", data.join("store").display())),
        Form::Redis => {
            let redis = Redis::start(Options { aof: Aof::Always, ..Options::default() });
            let proxy = FaultProxy::start(redis.port());
            let url = proxy.url();
            (Backing::Redis(Box::new(redis), proxy), url)
        }
        Form::Cluster => {
            let options = Options { aof: Aof::EverySecond, ..Options::default() };
            let cluster = Cluster::start_with(3, 1, &options);
            let url = cluster.url();
            (Backing::Cluster(Box::new(cluster)), url)
        }
    }
}

/// What each worker has, by name.
pub(crate) fn labels() -> impl Iterator<Item = (String, Vec<String>)> {
    let own = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    LABELS_OF
        .iter()
        .enumerate()
        .map(move |(place, labels)| (format!("worker-{place}"), own(labels)))
}

/// The configuration of a worker: our own program as a kind.
fn kinds(worker: &str, history: &Path) -> Result<String> {
    let ours = std::env::current_exe().context("finding our own program")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut environment = toml::Table::new();
    environment.insert(HISTORY.into(), text(history).into());
    environment.insert(WORKER.into(), worker.into());
    let mut backoff = toml::Table::new();
    backoff.insert("wait".into(), "200ms".into());
    let kinds = KINDS.map(|name| {
        let mut kind = toml::Table::new();
        kind.insert("kind".into(), name.into());
        kind.insert("command".into(), vec![text(&ours), "attempt".to_owned()].into());
        kind.insert("backoff".into(), backoff.clone().into());
        kind.insert("env".into(), environment.clone().into());
        toml::Value::Table(kind)
    });
    let mut table = toml::Table::new();
    table.insert("exec".into(), kinds.to_vec().into());
    Ok(table.to_string())
}

/// The product's program, with nothing of the environment that could point it elsewhere.
fn product(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TASKTONIC_") {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_configuration_says_where_its_attempts_write() {
        let text = kinds("worker-3", Path::new("/a/history.jsonl")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let kind = &table["exec"][0];
        assert_eq!(kind["kind"].as_str(), Some(KIND));
        assert_eq!(kind["env"][HISTORY].as_str(), Some("/a/history.jsonl"));
        assert_eq!(kind["env"][WORKER].as_str(), Some("worker-3"));
        assert_eq!(table["exec"].as_array().unwrap().len(), KINDS.len());
        assert_eq!(kind["command"][1].as_str(), Some("attempt"));
    }
}
