//! entry: what lists find a task by, as it is kept. Most tasks are called by their queue alone, and then
//! it is empty.

use std::borrow::Cow;

use tasktonic_core::search::fold;
use tasktonic_store::filter::entry_of;

/// The entry of a task with this descriptor in `queue`, as it is kept; absent when nothing can be made
/// of the descriptor.
pub(super) fn kept(descriptor: &str, queue: &str) -> Option<Box<str>> {
    let entry = entry_of(descriptor)?;
    Some(if entry == fold(queue) { Box::default() } else { entry.into() })
}

/// What is kept of a task in `queue`, as an entry.
pub(crate) fn called<'a>(kept: &'a str, queue: &'a str) -> Cow<'a, str> {
    if kept.is_empty() { fold(queue) } else { kept.into() }
}
