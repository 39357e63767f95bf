//! The SDK for workers: the [`Handler`] trait, the [`Context`] a handler gets, and [`Worker`], the
//! loop that claims, heartbeats, reports and drains.
//!
//! It works over any `Store` and never knows which. The handlers in `crates/handlers` are the
//! examples.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tasktonic_store::clock::Clock;
//! use tasktonic_store::model::ModelStore;
//! use tasktonic_worker::testing::NoFiles;
//! use tasktonic_worker::{Context, Failure, Handler, KindInfo, Settings, Worker};
//! use tokio_util::sync::CancellationToken;
//!
//! /// What goes in. Its JSON Schema is what submissions are checked against.
//! #[derive(Deserialize, JsonSchema)]
//! struct Greet {
//!     names: Vec<String>,
//! }
//!
//! #[derive(Serialize)]
//! struct Greeted {
//!     greetings: Vec<String>,
//! }
//!
//! struct Greeter;
//!
//! #[async_trait]
//! impl Handler for Greeter {
//!     type Payload = Greet;
//!     type Output = Greeted;
//!
//!     fn info(&self) -> KindInfo {
//!         KindInfo { title: Some("Greet people".into()), ..KindInfo::new("greet") }
//!     }
//!
//!     async fn run(&self, greet: Greet, cx: &Context) -> Result<Greeted, Failure> {
//!         let total = greet.names.len() as u64;
//!         let mut greetings = Vec::new();
//!         for (done, name) in (1..).zip(greet.names) {
//!             if cx.is_cancelled() {
//!                 return Err(Failure::Cancelled);
//!             }
//!             greetings.push(format!("Hello, {name}!"));
//!             cx.progress(done, total, "people", None);
//!         }
//!         Ok(Greeted { greetings })
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let store = Arc::new(ModelStore::new(Clock::system()));
//! let stop = CancellationToken::new();
//! let worker = Worker::new("in-1".parse()?, store, Arc::new(NoFiles), Settings::new("my machine"))
//!     .register(Greeter);
//! let running = tokio::spawn(worker.run_until(stop.clone()));
//! stop.cancel();
//! running.await??;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod announce;
mod attempt;
mod conclude;
pub mod context;
pub mod failure;
pub mod handler;
mod inputs;
pub mod limits;
mod log_lines;
mod output;
mod registered;
mod shared;
mod sync_loop;
pub mod testing;
mod worker;

pub use context::{Context, Stop};
pub use failure::{Failure, Outcome};
pub use handler::{Handler, KindInfo};
pub use inputs::{Input, Inputs};
pub use registered::{AnyHandler, Registered};
pub use tasktonic_core::{LabelError, Labels};
pub use tasktonic_protocol::http::OnFailure;
pub use tasktonic_protocol::policy::{Action, Backoff, Keep, Rule};
pub use tasktonic_protocol::status::TaskStatus;
pub use worker::{RunError, Settings, Worker};
