//! The gateway as it is shipped, attacked from outside: a real nginx with our configuration, Lua
//! and library, before a real server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attacks;
mod closed;
mod keys;
mod limits;
mod sockets;
mod streams;
mod support;
mod table;
