//! `tasktonic gateway`: nginx as the front door of servers that run elsewhere, set up from named
//! values. What it lets in is decided in the library that nginx loads.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tasktonic_gateway_conf::{Gateway, Parts, Tls};

use crate::{bad_use, screen};

/// Arguments of `gateway`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic gateway --folder /run/tasktonic-gateway --listen 8080 \\\n    \
    --server 127.0.0.1:7001 --server 127.0.0.1:7002 --page 127.0.0.1:7101 \\\n    \
    --door unix:/run/tasktonic/server-7001.sock --trust 127.0.0.1 --run\n  \
    tasktonic gateway … --listen '443 ssl http2' --listen '[::]:443 ssl http2' \\\n    \
    --tls-certificate /etc/tasktonic/tls/fullchain.pem --tls-key /etc/tasktonic/tls/privkey.pem\n\n\
    Without --run and --print it writes the folder, has nginx check it, and says how to start it. \
    SIGHUP reloads: a new configuration, certificate or library is used, open sockets stay.")]
pub(crate) struct Args {
    /// The folder it runs in: configuration, logs, temporary files
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// What stands behind nginx's `listen`; may be given more than once
    #[arg(long = "listen", value_name = "TEXT", required = true)]
    listen: Vec<String>,
    /// The certificate, where it listens with `ssl`
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A server (`tasktonic serve`); may be given more than once
    #[arg(long = "server", value_name = "HOST:PORT", required = true)]
    servers: Vec<String>,
    /// Where a server says what to let in (its --gateway-listen); may be given more than once
    #[arg(long = "door", value_name = "unix:PATH|HOST:PORT", required = true)]
    doors: Vec<String>,
    /// A server of the pages; may be given more than once
    #[arg(long = "page", value_name = "HOST:PORT")]
    pages: Vec<String>,
    /// The folder of the pages' immutable files (.next/static) [default: the pages' servers give them]
    #[arg(long = "static", value_name = "DIR")]
    static_files: Option<PathBuf>,
    /// Whose X-Forwarded-For is believed: the servers of the pages, a load balancer; may be given
    /// more than once
    #[arg(long = "trust", value_name = "NETWORK")]
    trusted: Vec<String>,
    /// Whom nginx's workers run as; root has to say it, and they must reach the doors
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Processes [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Print the configuration and write nothing
    #[arg(long, conflicts_with = "run")]
    print: bool,
    /// Become nginx
    #[arg(long)]
    run: bool,
}

pub(crate) fn gateway(args: Args) -> Result<u8> {
    let mut gateway = Gateway::new(Parts::find()?, &args.folder);
    gateway.listen = args.listen;
    gateway.tls =
        args.tls_certificate.zip(args.tls_key).map(|(certificate, key)| Tls { certificate, key });
    gateway.servers = args.servers;
    gateway.door = args.doors;
    gateway.pages = args.pages;
    gateway.trusted = args.trusted;
    gateway.static_files = args.static_files;
    gateway.user = args.user;
    gateway.workers = args.workers;
    let wants_tls =
        gateway.listen.iter().any(|listen| listen.split_whitespace().any(|w| w == "ssl"));
    if wants_tls != gateway.tls.is_some() {
        return Err(bad_use(
            "TLS is both: `ssl` in a --listen, and --tls-certificate with --tls-key",
        ));
    }
    let text = gateway.render().map_err(|wrong| bad_use(wrong.to_string()))?;
    if args.print {
        screen::say(text.trim_end());
        return Ok(crate::DONE);
    }
    says_whose(gateway.user.as_deref(), nix::unistd::geteuid().is_root())?;
    let nginx = gateway.write().with_context(|| format!("writing {}", args.folder.display()))?;
    if args.run {
        return Err(nginx.command().exec()).context("starting nginx");
    }
    let checked = nginx.check().output().context("starting nginx")?;
    if !checked.status.success() {
        bail!("nginx refuses it: {}", String::from_utf8_lossy(&checked.stderr).trim());
    }
    screen::say(&nginx.conf().display().to_string());
    screen::note("nginx accepts it; the same arguments with --run start it");
    Ok(crate::DONE)
}

/// The workers of a master that is root become somebody else, `nobody` if it is not told whom: that
/// one may neither come through the folder nor ask at the doors, and would answer 503 to all.
fn says_whose(user: Option<&str>, is_root: bool) -> Result<()> {
    if is_root && user.is_none() {
        return Err(bad_use(
            "root has to say whom the workers of nginx run as: --user NAME, the user of the \
             servers, who may ask at their doors; or start this as that user",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::says_whose;

    #[test]
    fn root_says_whom_the_workers_run_as_and_nobody_else_has_to() {
        let refused = says_whose(None, true).unwrap_err();
        assert!(refused.to_string().contains("--user NAME"), "{refused}");
        assert_eq!(crate::exit_code(&refused), crate::BAD_USE);
        for (user, is_root) in [(Some("tasktonic"), true), (None, false), (Some("x"), false)] {
            says_whose(user, is_root).unwrap();
        }
    }
}
