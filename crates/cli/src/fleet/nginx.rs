//! The gateway as a process of the fleet: nginx with our Lua and our library, configured by the
//! gateway's own crate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tasktonic_gateway_conf::{Gateway, Parts};
use tokio::process::Command;

use super::child::{PATIENCE, Spec, gated};
use super::roster::End;
use super::{from_here, http, ours};

/// How long it may take to end when asked. The servers have closed their sockets by then.
const GRACE: Duration = Duration::from_secs(3);

/// Whether all that it needs is on this machine.
pub(crate) fn is_there() -> Result<()> {
    Parts::find().map(|_| ()).context("--gateway")
}

/// What the gateway stands in front of.
pub(crate) struct Plan<'a> {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Where people come in.
    pub(crate) public: SocketAddr,
    /// The origins that people use.
    pub(crate) origins: &'a [String],
    /// The servers behind it.
    pub(crate) servers: &'a [ours::Server],
    /// The pages' servers behind it.
    pub(crate) pages: &'a [SocketAddr],
    /// The pages' immutable files.
    pub(crate) static_files: Option<PathBuf>,
}

impl Plan<'_> {
    pub(crate) fn spec(&self) -> Result<Spec> {
        let mut gateway = Gateway::new(Parts::find()?, &self.folder);
        gateway.listen = vec![self.public.to_string()];
        gateway.servers = self.servers.iter().map(|server| server.listen.to_string()).collect();
        gateway.pages = self.pages.iter().map(ToString::to_string).collect();
        gateway.door = self.servers.iter().filter_map(|server| server.door.clone()).collect();
        // The pages' servers ask from this address for people elsewhere, each counted alone.
        gateway.trusted = vec![from_here(self.public).ip().to_string()];
        gateway.static_files.clone_from(&self.static_files);
        if nix::unistd::geteuid().is_root() {
            // Its workers become somebody else otherwise, who may not ask at the servers' doors.
            gateway.user = Some("root".into());
        }
        let nginx = gateway.write().context("writing the configuration of nginx")?;
        let authority = self.origins.first().and_then(|origin| origin.split_once("://"));
        let authority = authority.map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        Ok(Spec {
            name: "gateway".into(),
            port: Some(self.public.port()),
            end: End::Asked,
            patience: PATIENCE,
            grace: GRACE,
            command: Box::new(move || {
                let plain = nginx.command();
                let mut command: Command = gated(Path::new(plain.get_program()));
                command.args(plain.get_args());
                Ok(command)
            }),
            probe: Some(http::probe(from_here(self.public), &authority, http::Works::Well)),
        })
    }
}
