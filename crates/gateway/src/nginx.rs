//! A gateway on disk, and the commands that run it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{ANSWER, Gateway, HEADER, LUA};

/// Only for whoever runs it.
const PRIVATE: u32 = 0o700;
/// Where the processes are somebody else, they have to come through.
const PASSABLE: u32 = 0o711;
/// Lua and the header, which those processes read themselves, whatever root's umask is.
const READABLE: u32 = 0o644;
/// The folders to them.
const OPEN: u32 = 0o755;
/// Folders of temporary files: nginx makes those in `tmp` itself.
const FOLDERS: &[&str] = &["tmp", "lua/tasktonic"];

/// A gateway whose folder is complete.
#[derive(Debug, Clone)]
pub struct Nginx {
    program: PathBuf,
    run: PathBuf,
    conf: PathBuf,
    pid_file: PathBuf,
    access_log: PathBuf,
    error_log: PathBuf,
}

impl Gateway {
    /// Writes the folder: configuration, Lua, header. May be done again, before a reload too.
    ///
    /// # Errors
    /// The folder cannot be written, or a value cannot stand in a configuration.
    pub fn write(&self) -> io::Result<Nginx> {
        let conf = self.render().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let run = std::path::absolute(&self.run)?;
        let mode = if self.user.is_some() { PASSABLE } else { PRIVATE };
        fs::DirBuilder::new().recursive(true).mode(mode).create(&run)?;
        fs::set_permissions(&run, fs::Permissions::from_mode(mode))?;
        for folder in FOLDERS {
            fs::create_dir_all(run.join(folder))?;
        }
        if self.user.is_some() {
            for folder in ["tmp", "lua", "lua/tasktonic"] {
                fs::set_permissions(run.join(folder), fs::Permissions::from_mode(OPEN))?;
            }
        }
        for (name, text) in [
            ("nginx.conf", conf.as_str()),
            ("answer.conf", ANSWER),
            ("tasktonic_gateway.h", HEADER),
            ("lua/tasktonic/gateway.lua", LUA),
        ] {
            // Whole or not at all: a worker may be starting just now.
            let (file, unfinished) = (run.join(name), run.join(format!("{name}.unfinished")));
            fs::write(&unfinished, text)?;
            if self.user.is_some() {
                fs::set_permissions(&unfinished, fs::Permissions::from_mode(READABLE))?;
            }
            fs::rename(unfinished, file)?;
        }
        Ok(Nginx {
            program: self.parts.nginx.clone(),
            conf: run.join("nginx.conf"),
            pid_file: run.join("nginx.pid"),
            access_log: run.join("access.json"),
            error_log: run.join("error.log"),
            run,
        })
    }
}

impl Nginx {
    /// Runs it in the foreground: the master is the child, and what is wrong at the start stands on
    /// its standard error.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.base();
        command.args(["-g", "daemon off;"]);
        command
    }

    /// Checks the configuration. It does not prove the library: only a request does.
    #[must_use]
    pub fn check(&self) -> Command {
        let mut command = self.base();
        command.args(["-t", "-q"]);
        command
    }

    /// Has it take over a new configuration and a new library; open sockets stay.
    #[must_use]
    pub fn reload(&self) -> Command {
        let mut command = self.base();
        command.args(["-s", "reload"]);
        command
    }

    fn base(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(&self.run).arg("-c").arg(&self.conf).args(["-e", "stderr"]);
        command
    }

    /// The file with the master's process id, once it runs.
    #[must_use]
    pub fn pid_file(&self) -> &Path {
        &self.pid_file
    }

    /// One line of JSON for each request, without queries and tokens.
    #[must_use]
    pub fn access_log(&self) -> &Path {
        &self.access_log
    }

    /// What nginx has to say.
    #[must_use]
    pub fn error_log(&self) -> &Path {
        &self.error_log
    }

    /// The configuration.
    #[must_use]
    pub fn conf(&self) -> &Path {
        &self.conf
    }
}
