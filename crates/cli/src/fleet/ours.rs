//! Servers, workers and the pages' servers as processes of a fleet.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tasktonic_core::Labels;
use tokio::process::Command;

use super::child::{PATIENCE, Spec};
use super::http::{self, Works};
use super::roster::End;
use crate::pages::{self, Built};
use crate::stores::{self, Class};

/// How long running attempts may go on when all is to end, in seconds.
pub(crate) const DRAIN_S: u64 = 10;
/// How long a worker may take to end: its drain and a little.
const WORKER_GRACE: Duration = Duration::from_secs(DRAIN_S + 4);
/// How long a server may take: it gives requests under way ten seconds.
const SERVER_GRACE: Duration = Duration::from_secs(12);
/// How long a server of the pages may take.
const PAGES_GRACE: Duration = Duration::from_secs(3);

/// What servers and workers of one fleet are told alike.
#[derive(Clone)]
pub(crate) struct Common {
    /// This program.
    pub(crate) program: PathBuf,
    /// The folder of the installation.
    pub(crate) data: PathBuf,
    /// The users' files.
    pub(crate) files: String,
    /// The store's URL, with its password.
    pub(crate) store: String,
    /// The promise.
    pub(crate) class: Class,
    /// Whether a provider vouches for what may not be asked.
    pub(crate) declared: bool,
    /// The configuration, if one was named.
    pub(crate) config: Option<PathBuf>,
}

impl Common {
    pub(crate) fn new(
        data: PathBuf,
        files: String,
        store: String,
        class: Class,
        declared: bool,
        config: Option<PathBuf>,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        Ok(Self { program, data, files, store, class, declared, config })
    }

    /// The password travels in the environment, which only this user can read.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args([verb, "--with-parent", "--data"]).arg(&self.data);
        command.args(["--files", &self.files, "--durability", self.class.name()]);
        if self.declared {
            command.arg("--durability-declared");
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.env(stores::VARIABLE, &self.store);
        for name in ["TASKTONIC_URL", "TASKTONIC_TOKEN", "TASKTONIC_PORT", "TASKTONIC_FILES"] {
            command.env_remove(name);
        }
        command
    }
}

/// A server.
#[derive(Clone)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The origins that people use.
    pub(crate) origins: Vec<String>,
    /// A server of the pages, if it passes them on itself.
    pub(crate) pages: Option<SocketAddr>,
    /// Where the gateway asks it what to let in.
    pub(crate) door: Option<String>,
}

impl Server {
    pub(crate) fn spec(self, number: usize, common: &Common) -> Spec {
        let (listen, common) = (self.listen, common.clone());
        let name = format!("server-{number}");
        let asked = super::from_here(listen);
        Spec {
            name,
            port: Some(listen.port()),
            end: End::Itself,
            patience: PATIENCE,
            grace: SERVER_GRACE,
            command: Box::new(move || {
                let mut command = common.command("serve");
                command.args(["--host", &listen.ip().to_string()]);
                command.args(["--port", &listen.port().to_string()]);
                for origin in &self.origins {
                    command.args(["--origin", origin]);
                }
                if let Some(pages) = self.pages {
                    command.args(["--pages", &pages.to_string()]);
                }
                if let Some(door) = &self.door {
                    command.args(["--gateway-listen", door]);
                }
                Ok(command)
            }),
            probe: Some(http::probe(asked, &asked.to_string(), Works::Well)),
        }
    }
}

/// A worker.
pub(crate) fn worker(
    number: usize,
    common: &Common,
    concurrency: Option<u32>,
    labels: &Labels,
) -> Spec {
    let (common, labels) = (common.clone(), labels.texts());
    Spec {
        name: format!("worker-{number}"),
        port: None,
        end: End::Itself,
        patience: PATIENCE,
        grace: WORKER_GRACE,
        command: Box::new(move || {
            let mut command = common.command("work");
            command.args(["--drain", &DRAIN_S.to_string()]);
            if let Some(concurrency) = concurrency {
                command.args(["--concurrency", &concurrency.to_string()]);
            }
            for label in &labels {
                command.args(["--label", label]);
            }
            Ok(command)
        }),
        probe: None,
    }
}

/// A server of the pages.
pub(crate) fn pages(number: usize, built: &Built, listen: SocketAddr, api: SocketAddr) -> Spec {
    let built = built.clone();
    Spec {
        name: format!("pages-{number}"),
        port: Some(listen.port()),
        end: End::Itself,
        patience: PATIENCE,
        grace: PAGES_GRACE,
        command: Box::new(move || pages::command(&built, listen, api)),
        probe: Some(http::probe(listen, &listen.to_string(), Works::AtAll)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_vouches_for_is_told_to_servers_and_workers() {
        for declared in [false, true] {
            let common = Common::new(
                "data".into(),
                "file:///files".into(),
                "redis://:hush@h".into(),
                Class::Disk,
                declared,
                None,
            )
            .unwrap();
            let server = Server {
                listen: ([127, 0, 0, 1], 1).into(),
                origins: vec![],
                pages: None,
                door: None,
            };
            for spec in [server.spec(1, &common), worker(1, &common, None, &Labels::default())] {
                let command = (spec.command)().unwrap();
                let args: Vec<_> = command.as_std().get_args().collect();
                let told = args.iter().any(|arg| *arg == "--durability-declared");
                assert_eq!(told, declared, "{}: {args:?}", spec.name);
                assert!(!format!("{args:?}").contains("hush"));
            }
        }
    }
}
