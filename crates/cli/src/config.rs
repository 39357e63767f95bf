//! `tasktonic.toml`: what an installation says about itself beyond the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use tasktonic_auth::Role;
use tasktonic_handlers::HandlersConfig;
use tasktonic_server::{IssuerFile, Network};

use crate::data::Data;

/// The whole file. Every part may be left out; a name nobody knows is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// The server.
    pub(crate) server: ServerPart,
    /// Issuers of tokens beside our own.
    pub(crate) issuer: Vec<IssuerPart>,
    /// The handlers we ship.
    pub(crate) handlers: HandlersConfig,
    /// Programs as kinds; the handlers read them from the text.
    pub(crate) exec: Vec<toml::Table>,
}

/// `[server]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerPart {
    /// The origins under which people reach it, e.g. `https://tasks.example.com`.
    pub(crate) origins: Vec<String>,
    /// Whether `/metrics` is answered to other machines too.
    pub(crate) metrics_public: bool,
    /// Proxies on other machines that are believed when they say whose request they pass on, e.g.
    /// `10.0.0.0/24`.
    pub(crate) trusted_proxies: Vec<String>,
    /// How long a server that was asked to stop still takes requests while `/readyz` refuses, s: a
    /// load balancer that asks there needs the time to look elsewhere.
    pub(crate) drain_notice_s: u16,
}

impl ServerPart {
    /// The proxies as the server knows them.
    pub(crate) fn trusted_proxies(&self) -> Result<Vec<Network>> {
        let proxy = |text: &String| {
            text.parse().with_context(|| format!("in [server] trusted_proxies: {text:?}"))
        };
        self.trusted_proxies.iter().map(proxy).collect()
    }
}

/// `[[issuer]]`: users of another system sign in with its tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerPart {
    /// The `iss` of its tokens.
    pub(crate) issuer: String,
    /// The `aud` of its tokens.
    pub(crate) audience: String,
    /// Its keys: a JWKS document, read again when it changes.
    pub(crate) jwks: PathBuf,
    /// The algorithm of keys that name none.
    pub(crate) algorithm: Option<String>,
    /// Whether the file may hold shared secrets.
    #[serde(default)]
    pub(crate) secrets: bool,
    /// The claim that holds the caller's groups.
    pub(crate) role_claim: Option<String>,
    /// What its values mean (`admins = "admin"`); everybody else is a user.
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, Role>,
}

impl IssuerPart {
    /// The issuer as the server knows it.
    pub(crate) fn issuer_file(&self) -> Result<IssuerFile> {
        let algorithm = self.algorithm.as_deref().map(tasktonic_auth::command::algorithm);
        Ok(IssuerFile {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            jwks: self.jwks.clone(),
            algorithm: algorithm.transpose().context("in [[issuer]]")?,
            secrets: self.secrets,
            role_claim: self.role_claim.clone(),
            roles: self.roles.iter().map(|(value, role)| (value.clone(), *role)).collect(),
        })
    }
}

/// A configuration and where it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    /// What it says.
    pub(crate) file: ConfigFile,
    /// Its text, for the parts that others read.
    pub(crate) text: String,
    /// The folder that paths in it start from.
    pub(crate) base: PathBuf,
}

/// The file at `named`, or the first of `usual` that is there, or nothing.
pub(crate) fn read(named: Option<&Path>, usual: &[PathBuf]) -> Result<Config> {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => usual.iter().find(|path| path.is_file()).cloned(),
    };
    let Some(path) = path else { return Ok(Config::default()) };
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut file: ConfigFile =
        parse(&text).map_err(|wrong| anyhow!("{}, {wrong}", path.display()))?;
    let base = std::path::absolute(&path)?.parent().map(Path::to_owned).unwrap_or_default();
    for issuer in &mut file.issuer {
        issuer.jwks = base.join(&issuer.jwks);
    }
    Ok(Config { file, text, base })
}

/// Why a text is no configuration does not quote it: a line may hold a secret.
fn parse(text: &str) -> Result<ConfigFile, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: {}", error.message())
    })
}

/// Where the file is looked for when nobody names one.
pub(crate) fn usual(data: &Data) -> [PathBuf; 2] {
    [data.config(), "tasktonic.toml".into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_nobody_knows_is_refused_with_its_line() {
        let error = parse("[server]\norigin = [\"secret\"]\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("origin"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn an_empty_file_is_enough() {
        assert!(parse("").is_ok());
    }
}
