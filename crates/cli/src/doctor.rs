//! `tasktonic doctor --gateway URL`: a gateway looked at from outside, as somebody who means no
//! good would. Each check says what it saw and, where that is wrong, what to do.

mod ask;
mod checks;

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::screen::{self, Style, styled};
use crate::{bad_use, doctor::ask::Place};

/// Arguments of `doctor`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic doctor --gateway https://tasks.example.com\n  \
    tasktonic doctor --gateway http://127.0.0.1:8080 --token-file token --json\n\n\
    It sends a few dozen small requests, most of which have to be refused. With a token (in a file, \
    or in TASKTONIC_TOKEN) it also checks that a good one is let in.\n\
    Exit codes: 0 all is well, 1 something is not, 2 bad use.")]
pub(crate) struct Args {
    /// The gateway, by an address under which people reach it
    #[arg(long, value_name = "URL")]
    gateway: String,
    /// A file that holds an access token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// What has to be so.
    check: &'static str,
    ok: bool,
    /// What came back.
    saw: String,
    /// What to do, where it is not ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

#[derive(Serialize)]
struct Report<'a> {
    gateway: &'a str,
    ok: bool,
    checks: &'a [Finding],
}

pub(crate) fn doctor(args: &Args) -> Result<u8> {
    let place = Place::parse(&args.gateway).map_err(bad_use)?;
    let token = match &args.token_file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?
                .trim()
                .to_owned(),
        ),
        None => std::env::var(crate::api::TOKEN_VARIABLE).ok(),
    };
    let token = token.filter(|token| !token.is_empty());
    let mut findings = Vec::new();
    checks::run(&place, token.as_deref(), |finding| {
        if !args.json {
            show(&finding);
        }
        findings.push(finding);
    });
    let ok = findings.iter().all(|finding| finding.ok);
    if args.json {
        let report = Report { gateway: &args.gateway, ok, checks: &findings };
        screen::say(&serde_json::to_string_pretty(&report)?);
    } else {
        conclude(&findings, token.is_some());
    }
    Ok(if ok { crate::DONE } else { crate::FAILED })
}

fn show(finding: &Finding) {
    let word =
        if finding.ok { styled("ok    ", Style::Green) } else { styled("FAILED", Style::Red) };
    screen::say(&format!("{word}  {}", finding.check));
    if let Some(advice) = finding.advice {
        screen::say(&format!("        saw: {}", screen::harmless(&finding.saw)));
        screen::say(&format!("        {advice}"));
    }
}

fn conclude(findings: &[Finding], by_token: bool) {
    let failed = findings.iter().filter(|finding| !finding.ok).count();
    let all = findings.len();
    screen::say("");
    if failed > 0 {
        screen::say(&format!("{failed} of {all} checks failed."));
    } else {
        screen::say(&format!("All {all} checks passed."));
    }
    if !by_token {
        screen::say(
            "Without a token: that a good one is let in was not checked (--token-file FILE).",
        );
    }
}
