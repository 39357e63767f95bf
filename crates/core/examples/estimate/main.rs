//! How often the stated range of a start holds: writes the page and its picture.
//!
//! ```text
//! cargo run --release -p tasktonic-core --example estimate -- docs/benchmarks
//! ```

mod plot;
mod sim;

use std::path::PathBuf;

/// Runs of each setting, each with another seed.
const RUNS: u64 = 40;

fn main() -> std::io::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).map_or_else(|| ".".into(), Into::into);
    let all: Vec<_> = sim::SCENARIOS.iter().map(|one| (one, sim::run(one, RUNS))).collect();
    std::fs::write(folder.join("estimate.svg"), plot::svg(&all))?;
    let page = plot::page(&all, RUNS);
    print!("{page}");
    std::fs::write(folder.join("estimate.md"), page)
}
