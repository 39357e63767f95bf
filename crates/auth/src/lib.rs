//! Who is asking, and whether to believe it: tokens verified and issued, key sets, accounts and
//! passwords, refresh families, the sign-in throttle, and the verdict of the front door.
//!
//! Pure and synchronous: a token and the time go in, a verdict comes out. This crate never knows a
//! web framework, a store, a clock or a socket, and it fetches nothing.

pub mod account;
pub mod command;
pub mod door;
pub mod issue;
mod json;
pub mod jws;
pub mod key;
mod random;
pub mod refresh;
mod refusal;
mod role;
pub mod throttle;
pub mod verify;

pub use account::Account;
pub use issue::{Issuer, NewToken, SigningKey};
pub use key::{Algorithm, Key, KeySet};
pub use refusal::Refusal;
pub use role::Role;
pub use verify::{Claims, TrustedIssuer, Verifier};
