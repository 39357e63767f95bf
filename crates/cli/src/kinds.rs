//! `tasktonic kinds`: what can be submitted, also as types of a language.

mod rust;
mod shape;
#[cfg(test)]
mod tests;
mod typescript;

use anyhow::Result;
use tasktonic_protocol::http::Kind;

use crate::api::Remote;
use crate::screen::{self, harmless};
use crate::task::print_json;

/// Arguments of `kinds`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tasktonic kinds\n  \
    tasktonic kinds --json | jq '.[].schema'\n  \
    tasktonic kinds --types ts > src/kinds.ts")]
pub(crate) struct Args {
    /// Print them as the API gives them, each with the JSON Schema of its payload
    #[arg(long)]
    json: bool,
    /// Print types of their payloads, for programs that submit
    #[arg(long, value_name = "LANGUAGE", conflicts_with = "json")]
    types: Option<Language>,
    #[command(flatten)]
    remote: Remote,
}

/// A language that payloads are typed in.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Language {
    /// TypeScript: an interface per kind, and a `submit` that takes no other
    Ts,
    /// Rust: a struct per kind, for `Client::submit_payload`
    Rust,
}

/// The module of types for these kinds.
fn types(kinds: &[Kind], language: Language) -> String {
    let payloads = shape::Payload::of_all(kinds);
    match language {
        Language::Ts => typescript::module(&payloads),
        Language::Rust => rust::module(&payloads),
    }
}

pub(crate) async fn kinds(args: Args) -> Result<u8> {
    let kinds = args.remote.client()?.kinds().await?;
    if let Some(language) = args.types {
        screen::say(types(&kinds, language).trim_end());
        return Ok(crate::DONE);
    }
    if args.json {
        print_json(&kinds)?;
        return Ok(crate::DONE);
    }
    let rows: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let worker = if kind.served { "at work" } else { "none now" };
            let title = kind.title.as_deref().unwrap_or_default();
            let places = kind.places.to_string();
            vec![harmless(&kind.kind), worker.to_owned(), places, harmless(title)]
        })
        .collect();
    screen::table(&["KIND", "WORKER", "PLACES", "TITLE"], &rows);
    Ok(crate::DONE)
}
