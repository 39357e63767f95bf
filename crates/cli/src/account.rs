//! `tasktonic account …`: built-in accounts; those of an embedded store while the server is stopped.

use std::fs::DirBuilder;
use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use tasktonic_auth::{Role, account};
use tasktonic_server::Identity;

use crate::data::{self, Data};
use crate::product;
use crate::screen;
use crate::stores::StoreArgs;

/// What to do with accounts.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make an account; its password comes from standard input, or is made and printed
    #[command(after_help = "Examples:\n  tasktonic account add ana\n  \
        TASKTONIC_STORE=redis://redis:6379 tasktonic account add ana --role admin < password")]
    Add {
        /// The name to sign in with
        name: String,
        /// user, operator or admin
        #[arg(long, default_value = "user")]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// List the accounts
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Change a password; it comes from standard input, or is made and printed
    Password {
        /// The account
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Refuse an account to sign in
    Disable {
        /// The account
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Let a disabled account sign in again
    Enable {
        /// The account
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Which installation.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// The folder of the installation
    #[arg(long, env = "TASKTONIC_DATA", default_value = data::DEFAULT, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub(crate) async fn account(verb: Verb) -> Result<u8> {
    let (Verb::Add { place, .. }
    | Verb::List { place, .. }
    | Verb::Password { place, .. }
    | Verb::Disable { place, .. }
    | Verb::Enable { place, .. }) = &verb;
    let choice = place.store.choose(place.data.join("store"))?;
    // Accounts need a folder of keys like everything else that knows who is who, and no key in it.
    let passing = if choice.is_embedded() {
        // Only a first account may come before a first start; anything else is a slip of the pen.
        if !matches!(verb, Verb::Add { .. }) {
            data::must_be_there(&place.data)?;
        }
        None
    } else {
        Some(PassingFolder::new()?)
    };
    let keys = match &passing {
        Some(folder) => folder.0.clone(),
        None => Data::open(&place.data)?.keys(),
    };
    let (store, identity) = product::identities(choice, &keys).await?;
    let done = change(verb, &identity).await;
    store.close().await;
    done
}

/// A folder for our eyes alone that is gone when we are: accounts on Redis may be changed from a
/// machine that holds no installation.
struct PassingFolder(PathBuf);

impl PassingFolder {
    fn new() -> Result<Self> {
        let name = format!("tasktonic-{:032x}", u128::from_le_bytes(rand::random()));
        let folder = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("making {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for PassingFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn change(verb: Verb, identity: &Identity) -> Result<u8> {
    match verb {
        Verb::Add { name, role, .. } => {
            let (password, is_made) = password()?;
            let account = identity.create_account(&name, &password, role).await?;
            screen::note(&format!("made the account {} ({role})", account.name));
            if is_made {
                screen::say(&password);
            }
        }
        Verb::List { json, .. } => {
            let accounts = identity.accounts().await?;
            if json {
                for account in &accounts {
                    let line = serde_json::json!({
                        "name": account.name, "role": account.role, "disabled": account.disabled,
                    });
                    crate::task::print_json(&line)?;
                }
                return Ok(crate::DONE);
            }
            let row = |account: &account::Account| {
                let word = if account.disabled { "disabled" } else { "active" };
                vec![account.name.clone(), account.role.to_string(), word.to_owned()]
            };
            let rows: Vec<_> = accounts.iter().map(row).collect();
            screen::table(&["NAME", "ROLE", "SIGN-IN"], &rows);
        }
        Verb::Password { name, .. } => {
            let (password, is_made) = password()?;
            identity.set_password(&name, &password).await?;
            screen::note(&format!("changed the password of {name}; it is signed out everywhere"));
            if is_made {
                screen::say(&password);
            }
        }
        Verb::Disable { name, .. } => {
            identity.set_disabled(&name, true).await?;
            screen::note(&format!("{name} can no longer sign in"));
        }
        Verb::Enable { name, .. } => {
            identity.set_disabled(&name, false).await?;
            screen::note(&format!("{name} can sign in again"));
        }
    }
    Ok(crate::DONE)
}

/// The password on standard input, or a new one where that is a terminal or empty; and whether it
/// was made here.
fn password() -> Result<(String, bool)> {
    if std::io::stdin().is_terminal() {
        return Ok((account::random_password(), true));
    }
    let mut text = String::new();
    let most = u64::try_from(account::PASSWORD_BYTES_MAX + 2).unwrap_or(u64::MAX);
    std::io::stdin().take(most).read_to_string(&mut text).context("reading the password")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.is_empty() {
        return Ok((account::random_password(), true));
    }
    Ok((text.to_owned(), false))
}
