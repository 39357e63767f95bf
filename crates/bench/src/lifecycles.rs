//! The embedded store alone, by the example of its crate: durable lifecycles in bulk.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::Options;
use crate::figures::Figure;

/// Runs the example; its own words are printed, and the numbers in them become figures.
pub(crate) async fn measure(options: &Options, repository: &Path) -> Result<Vec<Figure>> {
    let scratch = options.scratch()?;
    let seconds = if options.quick { "1" } else { "5" };
    let folder = scratch.path().to_string_lossy().into_owned();
    example(repository, "tasktonic-store-embedded", &[&folder, seconds], "embedded store").await
}

/// Runs the example `lifecycles` of a store's crate.
pub(crate) async fn example(
    repository: &Path,
    package: &str,
    args: &[&str],
    name: &str,
) -> Result<Vec<Figure>> {
    Ok(figures(name, &said(repository, package, "lifecycles", args).await?))
}

/// What an example of a store's crate says; it is printed too.
pub(crate) async fn said(
    repository: &Path,
    package: &str,
    example: &str,
    args: &[&str],
) -> Result<String> {
    let output = Command::new("cargo")
        .args(["run", "--locked", "--release", "--quiet", "-p", package])
        .args(["--example", example, "--"])
        .args(args)
        .current_dir(repository)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .with_context(|| format!("running the example `{example}`"))?;
    anyhow::ensure!(output.status.success(), "the example `{example}` ended: {}", output.status);
    let text = String::from_utf8(output.stdout).context("what it said")?;
    eprint!("{text}");
    Ok(text)
}

/// One figure per line that has a rate.
fn figures(name: &str, text: &str) -> Vec<Figure> {
    let rate = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at =
            words.iter().position(|word| word.trim_matches([',', ';', ':']).ends_with("/s"))?;
        let number = words.get(at.checked_sub(1)?)?.replace(['_', ','], "");
        let number: f64 = number.parse().ok()?;
        let rest = words.join(" ");
        Some(Figure::new(name, number, "per s", rest))
    };
    text.lines().filter_map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_a_rate_become_figures() {
        let text = "5 s each, 100 users\n\
                    batch   16:   58123 lifecycles/s, a round p50 190 µs; closed in 4 ms\n            \
                    99 tasks opened in 4 ms\n\
                    256 producers:   99000 submits/s, p50 5 µs, p99 7 µs\n";
        let found = figures("a store", text);
        assert_eq!(found.iter().map(|f| f.value).collect::<Vec<_>>(), [58_123.0, 99_000.0]);
        assert!(found[0].note.starts_with("batch 16: 58123 lifecycles/s"), "{found:?}");
    }
}
