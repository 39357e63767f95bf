//! Calculations that stores never make: they are done here once, and their results are passed to
//! the partition as data.

mod attempts;
mod backoff;
pub mod estimate;
pub mod gcra;
pub mod permits;
mod retention;
mod rules;
#[cfg(test)]
mod seed;
pub mod starts;
pub mod turns;

pub use attempts::{
    AttemptsPolicy, CRASHES_MAX_DEFAULT, Verdict, Why, after_failure, after_loss, losses_so_far,
};
pub use backoff::Backoff;
pub use retention::{Retention, keep_s, rounded_s};
pub use rules::{Action, Rule, first_that_fits, fits};
