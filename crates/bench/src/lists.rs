//! The first page of what is rare among very many tasks of one user, on both stores, by the examples of
//! their crates.

use std::path::Path;

use anyhow::Result;

use crate::Options;
use crate::figures::Figure;
use crate::lifecycles::said;

/// How many tasks.
const TASKS: [&str; 2] = ["100000", "1000000"];

pub(crate) async fn measure(options: &Options, repository: &Path) -> Result<Vec<Figure>> {
    let scratch = options.scratch()?;
    let folder = scratch.path().to_string_lossy().into_owned();
    let tasks = if options.quick { &TASKS[..1] } else { &TASKS[..] };
    let embedded: Vec<&str> = [folder.as_str()].iter().chain(tasks).copied().collect();
    let mut text = said(repository, "tasktonic-store-embedded", "lists", &embedded).await?;
    text.push_str(&said(repository, "tasktonic-store-redis", "lists", tasks).await?);
    Ok(text.lines().flat_map(figures).collect())
}

/// Of `<store>, <count> tasks, <what>: <found> found, p50 <ms> ms, p95 <ms> ms`, two figures.
fn figures(line: &str) -> Vec<Figure> {
    let part = |name: &str| -> Option<f64> {
        let rest = line.split_once(&format!("{name} "))?.1;
        rest.split_once(" ms")?.0.parse().ok()
    };
    let note = line.split(": ").next().unwrap_or_default();
    let figure = |name: &str| {
        let value = part(name)?;
        Some(Figure::new(format!("first page, {name}"), value, "ms", note))
    };
    ["p50", "p95"].into_iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_times_becomes_two_figures() {
        let found =
            figures("Redis, 100000 tasks, a tag that is rare: 10 found, p50 1.5 ms, p95 20.0 ms");
        assert_eq!(found.iter().map(|f| f.value).collect::<Vec<_>>(), [1.5, 20.0]);
        assert_eq!(found[0].note, "Redis, 100000 tasks, a tag that is rare");
        assert!(figures("Redis, 100000 tasks, 480 bytes each").is_empty());
    }
}
