//! Tokens from outside: everything here knows the formats and the public functions only.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails, and that is right")]

mod claims;
mod differential;
mod form;
mod keys;
mod properties;
mod support;
