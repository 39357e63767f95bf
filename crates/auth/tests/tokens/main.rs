//! Tokens from outside: everything here knows the formats and the public functions only.

mod claims;
mod differential;
mod form;
mod keys;
mod properties;
mod support;
