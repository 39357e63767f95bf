//! A typed client of the HTTP API and its socket, and over it the [`RemoteStore`] and
//! [`RemoteFiles`] that let a worker run in another process than the server.
//!
//! It knows what travels and nothing of the server's insides.
//!
//! ```no_run
//! use tasktonic_client::{Client, Token};
//! # async fn submit() -> Result<(), tasktonic_client::Error> {
//! let client = Client::new("http://localhost:8080", Some(Token::new("eyJ…")))?;
//! let payload = serde_json::value::to_raw_value(&serde_json::json!({ "ms": 100 })).unwrap();
//! let submitted = client.submit(tasktonic_client::submission("demo.sleep", payload)).await?;
//! let ended = client.wait_until_ended(&submitted.task.id, None).await?;
//! println!("{}", ended.status.name());
//! # Ok(()) }
//! ```

mod account;
mod ask;
mod bulk;
mod bytes;
mod catalogue;
mod client;
mod credentials;
mod erase;
mod error;
mod files;
mod flows;
mod follow;
mod pause;
mod payload;
mod queues;
mod remote_files;
mod remote_store;
mod schedules;
mod socket;
mod submit;
mod tasks;
mod work;

pub use account::Session;
pub use client::{Client, Waits};
pub use credentials::{Credentials, Token, TokenFile};
pub use error::Error;
pub use files::Download;
pub use flows::fresh_id;
pub use follow::{Following, Update};
pub use pause::Pauses;
pub use payload::{Payload, submission_of};
pub use remote_files::RemoteFiles;
pub use remote_store::RemoteStore;
pub use socket::Socket;
pub use submit::{Submitted, submission};
pub use tasks::Filter;

/// What a call returns.
pub type Result<T> = std::result::Result<T, Error>;
