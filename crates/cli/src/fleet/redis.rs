//! Our own Redis: one, one with a replica, or six as a cluster. Private to this fleet: on the
//! loopback interface, with a password of its own, its data in the installation's folder.

use std::fmt::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use tokio::process::Command;

use super::child::{Answer, Spec, gated};
use super::roster::{End, write_private};
use super::{cluster, ports, programs, talk};
use crate::stores::Class;

/// How long it may take to read what it has kept: some 300 MB a second.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long it may take to write down what it has.
const GRACE: Duration = Duration::from_secs(20);
/// How long a replica may take to have what its master has.
const REPLICA_WAIT: Duration = Duration::from_secs(60);
/// Masters of a cluster; each has one replica.
pub(crate) const MASTERS: usize = 3;

/// How many there are, and what they are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Layout {
    /// One.
    One,
    /// One and a replica of it.
    Pair,
    /// Three masters with a replica each, which share the keys.
    Cluster,
}

impl Layout {
    const fn nodes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Pair => 2,
            Self::Cluster => 2 * MASTERS,
        }
    }
}

/// One server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Where clients find it.
    pub(crate) port: u16,
    /// Where the other servers of a cluster find it.
    pub(crate) bus: u16,
}

/// What is kept between starts: a cluster's servers know each other by their ports.
#[derive(Serialize, Deserialize)]
struct Kept {
    layout: Layout,
    nodes: Vec<Node>,
}

/// The file with what is kept, in the folder of one Redis.
const LAYOUT: &str = "layout.json";
/// The folder that a single Redis and a cluster once had in common, and a single one still has.
const SHARED: &str = "redis";
/// A cluster's.
const OF_CLUSTER: &str = "cluster";
/// A single one's, where a cluster was first in the shared folder.
const OF_SINGLE: &str = "single";

impl Kept {
    fn of(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(LAYOUT);
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        serde_json::from_str(&text).map(Some).with_context(|| {
            format!("{} cannot be read; it was written by another version", file.display())
        })
    }

    fn is_cluster(&self) -> bool {
        self.layout == Layout::Cluster
    }
}

/// The folder of the Redis in `layout`: its own, so that each form goes on where it was.
fn folder_of(data: &Path, layout: Layout) -> Result<PathBuf> {
    let cluster = layout == Layout::Cluster;
    let shared = data.join(SHARED);
    Ok(match Kept::of(&shared)?.map(|kept| kept.is_cluster()) {
        Some(was) if was == cluster => shared,
        None if !cluster => shared,
        _ => data.join(if cluster { OF_CLUSTER } else { OF_SINGLE }),
    })
}

/// Whether each Redis of ours in the data folder is a cluster.
pub(super) fn held(data: &Path) -> Vec<bool> {
    let kept = [SHARED, OF_CLUSTER, OF_SINGLE].map(|name| Kept::of(&data.join(name)));
    kept.into_iter().filter_map(|kept| Some(kept.ok()??.is_cluster())).collect()
}

/// Our own Redis.
pub(crate) struct Redis {
    folder: PathBuf,
    program: PathBuf,
    password: String,
    layout: Layout,
    nodes: Vec<Node>,
    class: Class,
}

impl Redis {
    /// The one in the data folder `data`, which is made at the first start.
    pub(crate) fn plan(data: &Path, layout: Layout, class: Class) -> Result<Self> {
        let program = programs::redis()?;
        let folder = &folder_of(data, layout)?;
        make_folder(folder)?;
        let file = folder.join(LAYOUT);
        let old = Kept::of(folder)?.map(|kept| kept.nodes).unwrap_or_default();
        let nodes = choose_nodes(&old, layout)?;
        if layout == Layout::Cluster {
            let homes: Vec<_> = (0..nodes.len()).map(|at| home(folder, at)).collect();
            cluster::move_ports(&homes, &nodes)?;
        }
        write_private(&file, &serde_json::to_string(&Kept { layout, nodes: nodes.clone() })?)?;
        let password = password(folder)?;
        let redis = Self { folder: folder.to_owned(), program, password, layout, nodes, class };
        for at in 0..redis.nodes.len() {
            make_folder(&redis.home(at))?;
            write_private(&redis.config_file(at), &redis.config(at)?)?;
        }
        Ok(redis)
    }

    /// Where it keeps what it has.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the store is. It holds the password.
    pub(crate) fn url(&self) -> String {
        let clients = if self.layout == Layout::Cluster { self.nodes.len() } else { 1 };
        let servers: Vec<_> = self
            .nodes
            .iter()
            .take(clients)
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis://:{}@{}", self.password, servers.join(","))
    }

    /// Its processes.
    pub(crate) fn specs(&self) -> Vec<Spec> {
        (0..self.nodes.len()).map(|at| self.spec(at)).collect()
    }

    fn spec(&self, at: usize) -> Spec {
        let (port, password) = (self.nodes[at].port, self.password.clone());
        let (program, config) = (self.program.clone(), self.config_file(at));
        Spec {
            name: if self.nodes.len() == 1 { "redis".into() } else { format!("redis-{}", at + 1) },
            port: Some(port),
            end: End::Last,
            patience: PATIENCE,
            grace: GRACE,
            command: Box::new(move || Ok(mended(&program, &config))),
            probe: Some(Box::new(move || {
                let password = password.clone();
                Box::pin(async move {
                    match talk::ask(port, &password, "PING").await {
                        Ok(_) => Answer::Ready,
                        // It reads its data, or a script runs for long: neither is a hang.
                        Err(error) => {
                            let words = error.to_string();
                            let busy = ["LOADING", "BUSY", "MASTERDOWN"];
                            match busy.iter().any(|word| words.starts_with(word)) {
                                true => Answer::Busy,
                                false => Answer::None,
                            }
                        }
                    }
                })
            })),
        }
    }

    /// Waits until its servers are what they are to be to each other.
    pub(crate) async fn join(&self) -> Result<()> {
        match self.layout {
            Layout::One => Ok(()),
            Layout::Cluster => cluster::form(&self.nodes, &self.password).await,
            Layout::Pair => {
                let follows = async {
                    // The master counts a replica only once it has heard from it again.
                    while !self.has_replica().await {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                tokio::time::timeout(REPLICA_WAIT, follows)
                    .await
                    .context("the replica of Redis does not follow it; see redis-2.log")
            }
        }
    }

    async fn has_replica(&self) -> bool {
        let told = talk::ask(self.nodes[0].port, &self.password, "INFO replication").await;
        talk::replicas(&told.unwrap_or_default()).is_some_and(|(online, _)| online > 0)
    }

    fn home(&self, at: usize) -> PathBuf {
        home(&self.folder, at)
    }

    fn config_file(&self, at: usize) -> PathBuf {
        self.home(at).join("redis.conf")
    }

    /// The configuration of one server; `deploy/redis/redis.conf` has the same with the reasons.
    fn config(&self, at: usize) -> Result<String> {
        let (node, password) = (&self.nodes[at], &self.password);
        let home = self.home(at);
        let home = home.to_str().context("the data folder's name is not UTF-8")?;
        if home.contains(['"', '\\', '\n']) {
            bail!("Redis cannot work in {home}: choose a folder without quotes with --data");
        }
        let fsync = if self.class == Class::Fast { "everysec" } else { "always" };
        let mut text = format!(
            "bind 127.0.0.1\nport {}\nprotected-mode yes\ndaemonize no\ndir \"{home}\"\n\
             requirepass {password}\nmasterauth {password}\n\
             appendonly yes\nappendfsync {fsync}\nsave \"\"\n\
             maxmemory-policy noeviction\nstream-node-max-bytes 512\n\
             client-output-buffer-limit pubsub 32mb 8mb 60\ntcp-backlog 511\n\
             repl-diskless-sync-delay 0\n",
            node.port
        );
        match self.layout {
            Layout::Pair if at > 0 => {
                let _ = writeln!(text, "replicaof 127.0.0.1 {}", self.nodes[0].port);
            }
            Layout::Cluster => {
                let _ = write!(
                    text,
                    "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {}\n\
                     cluster-announce-ip 127.0.0.1\ncluster-node-timeout 2000\n\
                     cluster-require-full-coverage no\n",
                    node.bus
                );
            }
            Layout::One | Layout::Pair => {}
        }
        Ok(text)
    }
}

/// What a crash may leave of its log, in the folder of its configuration.
const LOG: &str = "appendonlydir/appendonly.aof.manifest";
/// Waits as [`gated`] does, cuts the log off where a crash tore it, and becomes the server.
const MENDED: &str = "read -r go || exit; if [ -f \"$1\" ]; then echo y | \"$2\" --fix \"$1\"; fi; \
                      exec \"$0\" \"$3\"";

/// The server, on a log that ends where a script ends.
///
/// A crash can tear the log in the middle of a script. Redis 7.0 then leaves the whole commands of
/// that script in it without their end, ignores them at this start, and carries them out at the
/// next one. Its own tool cuts off all of them.
fn mended(program: &Path, config: &Path) -> Command {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let tool = program.with_file_name(name.replace("-server", "-check-aof"));
    if !tool.is_file() || tool == program {
        let mut command = gated(program);
        command.arg(config);
        return command;
    }
    let mut command = Command::new("sh");
    command.args(["-c", MENDED]).arg(program);
    let home = config.parent().unwrap_or(Path::new("."));
    command.args([&home.join(LOG), &tool, config]);
    command
}

fn home(folder: &Path, at: usize) -> PathBuf {
    folder.join((at + 1).to_string())
}

/// The ports of the last start where they are free, else others.
fn choose_nodes(old: &[Node], layout: Layout) -> Result<Vec<Node>> {
    let count = layout.nodes();
    let is_free = |node: &Node| ports::is_free(node.port) && ports::is_free(node.bus);
    if old.len() == count && old.iter().all(is_free) {
        return Ok(old.to_vec());
    }
    let ports = ports::free(2 * count)?;
    Ok(ports.chunks(2).map(|pair| Node { port: pair[0], bus: pair[1] }).collect())
}

/// The password in `folder`, made at the first start.
fn password(folder: &Path) -> Result<String> {
    let file = folder.join("password");
    if let Ok(text) = std::fs::read_to_string(&file)
        && !text.trim().is_empty()
    {
        return Ok(text.trim().to_owned());
    }
    let password: String =
        rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(&file, &format!("{password}\n"))?;
    Ok(password)
}

pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn each_form_has_a_folder_and_old_folders_keep_what_they_hold() {
        let keep = |folder: &Path, layout| {
            std::fs::create_dir_all(folder).unwrap();
            let kept = Kept { layout, nodes: Vec::new() };
            std::fs::write(folder.join(LAYOUT), serde_json::to_string(&kept).unwrap()).unwrap();
        };
        for (first, second, folders) in [
            (Layout::One, Layout::Cluster, ["redis", "cluster"]),
            (Layout::Pair, Layout::Cluster, ["redis", "cluster"]),
            (Layout::Cluster, Layout::One, ["cluster", "redis"]),
        ] {
            let data = tasktonic_testkit::Scratch::new();
            for (layout, folder) in [first, second].into_iter().zip(folders) {
                let chosen = folder_of(data.path(), layout).unwrap();
                assert_eq!(chosen, data.join(folder));
                keep(&chosen, layout);
            }
            for (layout, folder) in [first, second].into_iter().zip(folders) {
                assert_eq!(folder_of(data.path(), layout).unwrap(), data.join(folder));
            }
            assert_eq!(held(data.path()).len(), 2);
        }
        // As they were when all of them were in one folder.
        let data = tasktonic_testkit::Scratch::new();
        keep(&data.join("redis"), Layout::Cluster);
        assert_eq!(folder_of(data.path(), Layout::Cluster).unwrap(), data.join("redis"));
        assert_eq!(folder_of(data.path(), Layout::One).unwrap(), data.join("single"));
        assert_eq!(held(data.path()), [true]);
    }

    #[test]
    fn what_a_crash_left_of_a_script_is_cut_off_before_the_server_reads_it() {
        let home = tasktonic_testkit::Scratch::new();
        let config = home.path().join("redis.conf");
        let log = home.path().join(LOG);
        std::fs::create_dir(log.parent().unwrap()).unwrap();
        std::fs::write(&log, "file appendonly.aof.1.incr.aof seq 1 type i\n").unwrap();
        let whole = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
        let torn = "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nLPOP\r\n$4\r\nlane\r\n*3\r\n$3\r\nSET\r\n$1";
        let file = log.with_file_name("appendonly.aof.1.incr.aof");
        std::fs::write(&file, format!("{whole}{torn}")).unwrap();
        // The server is one that ends at once; its tool is the real one.
        let server = home.path().join("redis-server");
        std::os::unix::fs::symlink("/bin/true", &server).unwrap();
        let tool = programs::redis().unwrap().with_file_name("redis-check-aof");
        std::os::unix::fs::symlink(tool, home.path().join("redis-check-aof")).unwrap();
        let mut command = mended(&server, &config).into_std();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(file).unwrap(), whole);
    }
}
