//! Operations on many tasks, run by the worker that runs them in the product, over each store.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod hundred_thousand;
mod many;
mod stage;
