//! The front door's verdict for a program in C: nginx asks by these few functions, and Rust
//! decides. Nothing is decided here; no threads, no files, no sockets, no clock.
//!
//! The contract is `gateway/tasktonic_gateway.h`. Every buffer is the caller's. No call unwinds
//! into the caller, and null is refused everywhere.

mod netstring;
mod request;
mod verdict;

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::RwLock;
use tasktonic_auth::door::Door;

pub use netstring::{Netstrings, put};
pub use request::Request;

/// What the functions and the texts that cross are like; another number, another library.
pub const ABI: u32 = 1;

/// A pointer is null.
pub const NULL: i32 = -1;
/// The text of the request is not as it must be.
pub const MALFORMED: i32 = -2;
/// The answer does not fit the buffer.
pub const BUFFER: i32 = -3;
/// There is no door document yet.
pub const NO_DOOR: i32 = -4;
/// The door document was refused; the old one stays.
pub const REFUSED: i32 = -5;
/// Something panicked. It is a fault of this library.
pub const PANIC: i32 = -99;

/// What decides, once it has a document. Opaque to C.
#[derive(Debug, Default)]
pub struct Gateway {
    door: RwLock<Option<Arc<Door>>>,
}

impl Gateway {
    /// Replaces the door by that of `document`, or leaves the old one.
    ///
    /// # Errors
    /// Why the document is refused; never quotes keys.
    pub fn set_door(&self, document: &[u8]) -> Result<(), String> {
        let door = Door::read(document).map_err(|error| error.to_string())?;
        *self.door.write() = Some(Arc::new(door));
        Ok(())
    }

    /// The verdict on the request that `text` holds, as text; `now_s` in seconds since 1970.
    ///
    /// # Errors
    /// [`NO_DOOR`], [`MALFORMED`].
    pub fn guard(&self, text: &[u8], now_s: i64) -> Result<Vec<u8>, i32> {
        let door = self.door.read().clone().ok_or(NO_DOOR)?;
        let request = Request::read(text).ok_or(MALFORMED)?;
        Ok(verdict::of(&request, &door, now_s))
    }

    fn wants_keys(&self) -> bool {
        self.door.read().as_ref().is_some_and(|door| door.wants_keys())
    }
}

/// Runs `call` so that no panic leaves it.
fn contained(call: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(PANIC)
}

/// The bytes at `data`; nothing for null.
///
/// # Safety
/// `data` is null, or `len` bytes can be read there for as long as `'a`.
unsafe fn bytes<'a>(data: *const c_char, len: usize) -> Option<&'a [u8]> {
    if data.is_null() || isize::try_from(len).is_err() {
        return None;
    }
    // SAFETY: not null, not larger than any object may be, and readable by the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// Copies `text` to `out`: the number of its bytes, or [`BUFFER`] when there is no room.
///
/// # Safety
/// `out` is null, or `cap` bytes can be written there, and nobody else looks at them meanwhile.
unsafe fn give(text: &[u8], out: *mut c_char, cap: usize) -> i32 {
    if out.is_null() {
        return NULL;
    }
    let Ok(len) = i32::try_from(text.len()) else { return BUFFER };
    if text.len() > cap {
        return BUFFER;
    }
    // SAFETY: `text.len()` bytes can be read at its start and written at `out`; what is ours and
    // what is the caller's do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast::<u8>(), text.len()) };
    len
}

/// The number of the contract: to be asked before anything else.
#[unsafe(no_mangle)]
pub extern "C" fn tt_abi() -> u32 {
    ABI
}

/// A new gateway without a door, to be given back by [`tt_free`]; null if that fails.
#[unsafe(no_mangle)]
pub extern "C" fn tt_new() -> *mut Gateway {
    catch_unwind(|| Box::into_raw(Box::<Gateway>::default())).unwrap_or(std::ptr::null_mut())
}

/// Ends a gateway; null is ignored.
///
/// # Safety
/// `gateway` is null, or from [`tt_new`] and not given back yet; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_free(gateway: *mut Gateway) {
    if gateway.is_null() {
        return;
    }
    contained(|| {
        // SAFETY: it came out of a Box in `tt_new`, and by the caller's promise this is its end.
        drop(unsafe { Box::from_raw(gateway) });
        0
    });
}

/// Replaces the door by that of the document (JSON) at `json`. 0, or a negative number: then the
/// old door stays, and the reason stands at `out`, cut to `cap` bytes, the last of them NUL.
///
/// # Safety
/// `gateway` is null or from [`tt_new`] and not given back; `len` bytes can be read at `json`;
/// `cap` bytes can be written at `out`, which may be null when `cap` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_set_door(
    gateway: *const Gateway,
    json: *const c_char,
    len: usize,
    out: *mut c_char,
    cap: usize,
) -> i32 {
    contained(|| {
        // SAFETY: null or alive, by the caller's promise; it is only ever shared.
        let gateway = unsafe { gateway.as_ref() };
        // SAFETY: as promised by the caller.
        let (Some(gateway), Some(json)) = (gateway, unsafe { bytes(json, len) }) else {
            return NULL;
        };
        let Err(reason) = gateway.set_door(json) else { return 0 };
        if cap > 0 {
            let mut text = reason.into_bytes();
            text.truncate(cap - 1);
            text.push(0);
            // SAFETY: as promised by the caller; the text is not longer than `cap`.
            unsafe { give(&text, out, cap) };
        }
        REFUSED
    })
}

/// The verdict on the request at `request`, at `now_s` seconds since 1970: the number of bytes
/// written to `out`, or a negative number and nothing written.
///
/// # Safety
/// As for [`tt_set_door`]; `out` must not overlap `request`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_guard(
    gateway: *const Gateway,
    request: *const c_char,
    len: usize,
    now_s: i64,
    out: *mut c_char,
    cap: usize,
) -> i32 {
    contained(|| {
        // SAFETY: null or alive, by the caller's promise; it is only ever shared.
        let gateway = unsafe { gateway.as_ref() };
        // SAFETY: as promised by the caller.
        let (Some(gateway), Some(request)) = (gateway, unsafe { bytes(request, len) }) else {
            return NULL;
        };
        match gateway.guard(request, now_s) {
            // SAFETY: as promised by the caller.
            Ok(verdict) => unsafe { give(&verdict, out, cap) },
            Err(code) => code,
        }
    })
}

/// 1 when, since this was last asked, a token named a key that the door does not know: a newer
/// document may have it. Else 0, or a negative number.
///
/// # Safety
/// `gateway` is null or from [`tt_new`] and not given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_wants_keys(gateway: *const Gateway) -> i32 {
    contained(|| {
        // SAFETY: null or alive, by the caller's promise; it is only ever shared.
        unsafe { gateway.as_ref() }.map_or(NULL, |gateway| i32::from(gateway.wants_keys()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_number() {
        assert_eq!(contained(|| panic!("on purpose")), PANIC);
    }

    #[test]
    fn null_is_refused_everywhere() {
        let mut out = [0; 16];
        let text = c"x".as_ptr();
        let gateway = tt_new();
        // SAFETY: every pointer is null, or alive with the given length.
        unsafe {
            assert_eq!(tt_set_door(std::ptr::null(), text, 1, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_set_door(gateway, std::ptr::null(), 1, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_set_door(gateway, text, 1, std::ptr::null_mut(), 0), REFUSED);
            assert_eq!(tt_guard(std::ptr::null(), text, 1, 0, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_guard(gateway, std::ptr::null(), 1, 0, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_guard(gateway, text, 1, 0, out.as_mut_ptr(), 16), NO_DOOR);
            assert_eq!(tt_wants_keys(std::ptr::null()), NULL);
            assert_eq!(tt_wants_keys(gateway), 0);
            tt_free(std::ptr::null_mut());
            tt_free(gateway);
        }
    }

    #[test]
    fn a_reason_is_cut_to_the_buffer_and_ends_with_nul() {
        let gateway = tt_new();
        for cap in [1, 2, 10, 400] {
            let mut out = [1; 400];
            // SAFETY: all pointers are alive with the given lengths.
            let code = unsafe { tt_set_door(gateway, c"{}".as_ptr(), 2, out.as_mut_ptr(), cap) };
            assert_eq!(code, REFUSED);
            assert!(out[..cap].contains(&0), "{cap}");
            assert!(out[cap..].iter().all(|byte| *byte == 1), "nothing is written behind {cap}");
        }
        // SAFETY: from `tt_new`, and used no more.
        unsafe { tt_free(gateway) };
    }
}
