//! The store on Redis alone, by the example of its crate.

use std::path::Path;

use anyhow::Result;

use crate::Options;
use crate::figures::Figure;
use crate::lifecycles;

/// Runs the example; its own words are printed, and the numbers in them become figures.
pub(crate) async fn measure(options: &Options, repository: &Path) -> Result<Vec<Figure>> {
    let seconds = if options.quick { "1" } else { "5" };
    lifecycles::example(repository, "tasktonic-store-redis", &[seconds], "store on Redis").await
}
