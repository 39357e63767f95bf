//! `tasktonic verify jws | jwt`: the verifier of the server on the command line. Only arguments
//! are read here.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use tasktonic_auth::KeySet;
use tasktonic_auth::command::{self, Asked, KeyFile, Refused};
use tasktonic_store::clock::Clock;

/// What to verify.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Check one compact JWS on standard input; its payload goes to standard output
    #[command(after_help = "Example: tasktonic verify jws --jwk key.json < token\n\n\
                            Exit codes: 0 good, 1 refused (a stable word on standard error), 2 bad use.")]
    Jws {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Check an access token on standard input, claims too; they go to standard output as JSON
    #[command(
        after_help = "Example: tasktonic verify jwt --jwks keys.json --iss https://id.example \
                            --aud tasks < token\n\n\
                            Exit codes: 0 good, 1 refused (a stable word on standard error), 2 bad use."
    )]
    Jwt {
        #[command(flatten)]
        key: KeyArgs,
        /// The issuer it must be from
        #[arg(long)]
        iss: String,
        /// The audience it must be for
        #[arg(long)]
        aud: String,
        /// The time to check against, in seconds since 1970 [default: now]
        #[arg(long, value_name = "SECONDS")]
        now: Option<i64>,
        /// How far the clocks may differ
        #[arg(long, value_name = "SECONDS", default_value_t = 5)]
        leeway: u32,
    },
}

/// Which keys, and how the token is read.
#[derive(clap::Args)]
pub(crate) struct KeyArgs {
    /// A file with one key as a JWK
    #[arg(long, value_name = "FILE", required_unless_present = "jwks", conflicts_with = "jwks")]
    jwk: Option<PathBuf>,
    /// A file with a set of keys as a JWKS document
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The algorithm of a key that names none
    #[arg(long)]
    alg: Option<String>,
    /// Not even one newline after the token is ignored
    #[arg(long)]
    exact: bool,
}

pub(crate) fn verify(verb: &Verb) -> ExitCode {
    match verified(verb) {
        Ok(bytes) => {
            // A reader that has gone away does not make a token worse.
            let _ = std::io::stdout().write_all(&bytes);
            ExitCode::SUCCESS
        }
        Err(refused) => {
            eprintln!("{refused}");
            ExitCode::from(refused.exit_code())
        }
    }
}

fn verified(verb: &Verb) -> Result<Vec<u8>, Refused> {
    let (Verb::Jws { key } | Verb::Jwt { key, .. }) = verb;
    let alg = key.alg.as_deref().map(command::algorithm).transpose()?;
    let keys = keys(key, alg)?;
    let mut input = Vec::new();
    let most = u64::try_from(command::INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    std::io::stdin()
        .take(most)
        .read_to_end(&mut input)
        .map_err(|error| Refused::Usage(format!("standard input cannot be read: {error}")))?;
    let token = command::trim(&input, key.exact);
    match verb {
        Verb::Jws { .. } => command::verify_jws(token, &keys, alg),
        Verb::Jwt { iss, aud, now, leeway, .. } => {
            let asked = Asked {
                issuer: iss.clone(),
                audience: aud.clone(),
                now_s: now.unwrap_or_else(|| Clock::system().now_ms().div_euclid(1_000)),
                leeway_s: *leeway,
            };
            let claims = command::verify_jwt(token, keys, &asked)?;
            Ok(format!("{claims}\n").into_bytes())
        }
    }
}

fn keys(key: &KeyArgs, alg: Option<tasktonic_auth::Algorithm>) -> Result<KeySet, Refused> {
    let (path, form) = match (&key.jwk, &key.jwks) {
        (Some(path), _) => (path, KeyFile::Jwk),
        (None, Some(path)) => (path, KeyFile::Jwks),
        (None, None) => return Err(Refused::Usage("name a key with --jwk or --jwks".into())),
    };
    let file = std::fs::read(path)
        .map_err(|error| Refused::Usage(format!("{} cannot be read: {error}", path.display())))?;
    command::keys(&file, form, alg)
}
