//! Calculations that stores never make: they are done here once, and their results are passed to
//! the partition as data.

mod backoff;
mod retention;

pub use backoff::{Backoff, Verdict, after_failure, after_loss};
pub use retention::{Retention, keep_s};
