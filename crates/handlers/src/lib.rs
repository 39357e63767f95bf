//! The handlers we ship, and kinds that run a program. Each is a file or folder of its own and an
//! example of how a handler is written.
//!
//! They know the SDK and nothing behind it: no store, no server, no clock of the machine.

mod blocking;
pub mod csv;
pub mod exec;
pub mod file;
pub mod http;
pub mod images;
pub mod noop;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tasktonic_worker::{AnyHandler, Registered};

pub use csv::CsvProfile;
pub use exec::ExecKind;
pub use http::{HttpConfig, HttpRequest};
pub use images::ImagesResize;
pub use noop::Noop;

/// The kinds that every worker of ours handles; an exec kind may not be named like one of them.
pub const SHIPPED_KINDS: [&str; 4] = [images::KIND, csv::KIND, http::KIND, noop::KIND];

/// What the shipped handlers may be told: the table `[handlers]` of the configuration, and its
/// `[[exec]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandlersConfig {
    /// Where `http.request` may go.
    pub http: HttpConfig,
    /// How many places of a worker a task of these kinds takes; one, where nothing is said. Only of the
    /// shipped ones: an exec kind says it itself.
    pub places: BTreeMap<String, u32>,
    /// Kinds that run a program, see [`ExecKind::parse_all`].
    #[serde(skip)]
    pub exec: Vec<ExecKind>,
}

/// Every handler we ship, and the exec kinds of the configuration.
#[must_use]
pub fn shipped(config: &HandlersConfig) -> Vec<Arc<dyn AnyHandler>> {
    let ours: [Arc<dyn AnyHandler>; SHIPPED_KINDS.len()] = [
        Arc::new(Registered(ImagesResize)),
        Arc::new(Registered(CsvProfile)),
        Arc::new(Registered(HttpRequest::new(config.http.clone()))),
        Arc::new(Registered(Noop)),
    ];
    let mut all: Vec<_> = ours.into_iter().map(|of| places::sized(of, &config.places)).collect();
    for kind in &config.exec {
        all.push(Arc::new(kind.clone()));
    }
    all
}
