//! Workers in other processes: their one call, what they hold, and their announcements. A worker
//! acts only on leases it holds; what it writes is checked before the engine stores it as text.

mod announce;
mod carry;
mod held;
mod inputs;
pub(crate) mod known_as;
mod parts;
mod sessions;
mod sync;
mod texts;

pub(crate) use self::parts::Parts;
pub(crate) use self::sessions::Sessions;
use super::operation::{Body, Operation};
use tasktonic_protocol::problem::Code;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/v1/worker/sync", "workers", sync::sync)
            .about("A worker's one call: its reports and its next claim, or a wait for wakes.")
            .takes(Body::AnyJson)
            .answers(200, "What became of the reports, and new work.", Body::AnyJson)
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported, Code::StoreDiskFull]),
        Operation::post("/api/v1/worker/held", "workers", held::held)
            .about("What a worker holds, for one that missed the answer to a sync.")
            .takes(Body::AnyJson)
            .answers(200, "Its leases, with what is needed to work on them.", Body::AnyJson)
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
        Operation::post("/api/v1/worker/inputs", "workers", inputs::inputs)
            .about("What became of the tasks that a task waited for, for who holds it.")
            .takes(Body::AnyJson)
            .answers(200, "A page of them, with their outputs.", Body::AnyJson)
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported, Code::LostLease]),
        Operation::post("/api/v1/worker/announce", "workers", announce::announce)
            .about("Who works, and on what kinds; at start, once a minute, and at the end.")
            .takes(Body::AnyJson)
            .answers(204, "It is noted.", Body::Nothing)
            .refuses(&[Code::PayloadTooLarge, Code::MediaTypeUnsupported]),
    ]
}
