//! The server: the API, the socket hub, files, the housekeeping loops, and the front door of the
//! one-process mode.
//!
//! It knows a `Store`, never which one, and nothing of workers but what they say. Whose request it
//! is was decided at the door; what they may do is decided in each route.

mod api;
mod app;
mod door;
mod erasure;
mod error_pages;
mod gateway;
mod housekeeping;
mod identity;
mod ledger;
mod live;
mod metrics;
pub mod openapi;
mod pages;
mod problem;
mod proxies;
mod request_log;
mod serve;
mod server;
mod status;
mod sweep;

pub use api::rate::RequestLimit;
pub use app::{App, Config, Limits};
pub use gateway::{GatewayListen, GatewayListenError};
pub use identity::{AUDIENCE, Error as IdentityError, ISSUER, Identity, IssuerFile};
pub use ledger::FileLedger;
pub use proxies::{Network, NetworkError};
pub use server::Server;
