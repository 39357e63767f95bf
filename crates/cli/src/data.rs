//! The folder that holds everything of one installation.

use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where an installation keeps what it has, unless told otherwise.
pub(crate) const DEFAULT: &str = ".tasktonic";

/// The folder of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Data(PathBuf);

impl Data {
    /// The folder at `path`, made if it is not there, for its owner alone.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let data = Self(std::path::absolute(path)?);
        for folder in [data.0.clone(), data.logs(), data.keys()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(data)
    }

    /// The store's own folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Users' files, as a URL.
    pub(crate) fn files_url(&self) -> String {
        format!("file://{}", self.0.join("files").display())
    }

    /// Signing key and what else is secret.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The configuration, if somebody wrote one.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("tasktonic.toml")
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The demo account's password, if one was made here.
    pub(crate) fn demo_password(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.keys().join(DEMO_FILE)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Keeps the demo account's password, so that the next start can print it too.
    pub(crate) fn keep_demo_password(&self, password: &str) -> Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(self.keys().join(DEMO_FILE))?;
        writeln!(file, "{password}")?;
        Ok(())
    }
}

/// Whether `path` holds an installation.
///
/// # Errors
/// If not, saying what to do.
pub(crate) fn must_be_there(path: &Path) -> Result<()> {
    if path.join("keys").is_dir() {
        return Ok(());
    }
    bail!(
        "{} holds no installation; start one with `tasktonic up --data DIR`, or name another \
         folder with --data",
        path.display()
    )
}

const DEMO_FILE: &str = "demo-password";
