//! From the start of the process until it says that it is ready.

use anyhow::Result;

use crate::Options;
use crate::figures::{Figure, Times};
use crate::product::Product;

/// Starts of each kind.
const STARTS: usize = 11;

pub(crate) async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let starts = if options.quick { 2 } else { STARTS };
    let (mut new, mut used) = (Times::default(), Times::default());
    for _ in 0..starts {
        let scratch = options.scratch()?;
        for times in [&mut new, &mut used] {
            let product = Product::start(options, scratch.path(), &[]).await?;
            times.add(product.ready_after);
            product.wait_for_kind().await?;
            product.stop().await?;
        }
    }
    let note = format!("without pages, median of {starts}");
    Ok(vec![
        Figure::new("start to ready, new folder", new.percentile_ms(50.0), "ms", &*note),
        Figure::new("start to ready, folder in use", used.percentile_ms(50.0), "ms", &*note),
    ])
}
