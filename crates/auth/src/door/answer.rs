//! What the door says when a request does not go on. The words are the same at every front door;
//! never knows who sends them.

use tasktonic_protocol::problem::{Code, Problem};

/// What to do about a refusal at the door, for people.
#[must_use]
pub const fn detail(code: Code) -> &'static str {
    match code {
        Code::TokenMissing => "Sign in, or send an access token as Bearer.",
        Code::TokenExpired => "Renew the token, or sign in again.",
        Code::TokenInvalid | Code::TokenAlgorithm => "Sign in again.",
        Code::ForeignOrigin => "Use the address under which this installation is configured.",
        Code::UnknownHost => "Use a host name that is configured in `origins`.",
        Code::AmbiguousTarget => "Write the path plainly: no dot segments, no escaped slashes.",
        Code::HeadersTooLarge => {
            "Send fewer or smaller headers; cookies of other sites may be why."
        }
        Code::UpgradeRequired => "Open this address as a WebSocket, version 13.",
        Code::MethodNotAllowed => "Use another method.",
        Code::NotFound => "Check the address. It may belong to somebody else, or be gone.",
        _ => "Check the request.",
    }
}

/// The document (JSON, in one line) that a refusal at the door is answered with.
#[must_use]
pub fn problem_json(code: Code) -> String {
    serde_json::to_string(&Problem::new(code, detail(code)))
        .expect("a problem is texts and numbers")
}
