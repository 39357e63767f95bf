//! What the verbs that talk to a server share: where it is, and with which token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tasktonic_client::{Client, Credentials, Token, TokenFile, Waits};

/// Where the server is and who is asking.
#[derive(Debug, clap::Args)]
pub(crate) struct Remote {
    /// The server
    #[arg(
        long,
        env = "TASKTONIC_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(crate) url: String,
    /// A file that holds the access token (else it is read from TASKTONIC_TOKEN; never an argument,
    /// which other users of the machine could see)
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// How long a verb repeats a call that failed for a passing reason, such as a restart of the server.
const REPEAT_WITHIN: Duration = Duration::from_secs(10);

/// The environment variable that holds a token.
pub(crate) const TOKEN_VARIABLE: &str = "TASKTONIC_TOKEN";

fn token_of_environment() -> Result<String> {
    std::env::var(TOKEN_VARIABLE).ok().with_context(|| {
        format!(
            "no access token: set {TOKEN_VARIABLE} or name a file with --token-file (one is made \
             by `tasktonic token mint --user NAME`)"
        )
    })
}

impl Remote {
    /// A client of that server.
    pub(crate) fn client(&self) -> Result<Client> {
        // A person waits for it, and a server that is not there should be said soon.
        let waits = Waits { repeat: REPEAT_WITHIN, ..Waits::default() };
        client(&self.url, self.token_file.as_ref(), waits)
    }
}

/// A client of the server at `url` with the token in `file`, or in the environment.
pub(crate) fn client(url: &str, file: Option<&PathBuf>, waits: Waits) -> Result<Client> {
    let credentials: Arc<dyn Credentials> = match file {
        // Read anew whenever the server refuses the last one, so that it can be kept fresh.
        Some(path) => Arc::new(TokenFile::new(path)),
        None => Arc::new(Token::new(token_of_environment()?)),
    };
    Ok(Client::with(url, credentials, waits)?)
}
