//! The front door's verdict for a program in C: nginx asks by these few functions, and Rust
//! decides. Nothing is decided here; no threads, no files, no sockets, no clock.
//!
//! The contract is `gateway/tasktonic_gateway.h`. No call unwinds into the caller, and null is
//! refused everywhere.

mod border;
mod request;
mod verdict;

use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tasktonic_auth::door::Door;
use verdict::Answer;

pub use border::{CRequest, CVerdict, FIELDS_MAX, Field, Text};
pub use request::Request;

/// What the functions and what crosses are like; another number, another library.
pub const ABI: u32 = 2;

/// A pointer is null.
pub const NULL: i32 = -1;
/// The request is not as it must be.
pub const MALFORMED: i32 = -2;
/// There is no door document yet.
pub const NO_DOOR: i32 = -4;
/// The door document was refused; the old one stays.
pub const REFUSED: i32 = -5;
/// Something panicked. It is a fault of this library.
pub const PANIC: i32 = -99;

/// What decides, once it has a document. Opaque to C.
#[derive(Debug, Default)]
pub struct Gateway {
    door: Option<Door>,
    /// The last answer: C looks at it until it asks again.
    answer: Answer,
}

impl Gateway {
    /// Replaces the door by that of `document`, or leaves the old one.
    ///
    /// # Errors
    /// Why the document is refused; never quotes keys.
    pub fn set_door(&mut self, document: &[u8]) -> Result<(), String> {
        self.door = Some(Door::read(document).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// The verdict on a request at `now_s`, in seconds since 1970. It points into this gateway.
    ///
    /// # Errors
    /// [`NO_DOOR`].
    pub fn guard(&mut self, request: &Request<'_>, now_s: i64) -> Result<CVerdict, i32> {
        let door = self.door.as_ref().ok_or(NO_DOOR)?;
        self.answer = Answer::to(request, door, now_s);
        Ok(CVerdict { wants_keys: i32::from(door.wants_keys()), ..self.answer.shown() })
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
/// `gateway` is null or from [`tt_new`], not given back and used by no other thread; `len` bytes
/// can be read at `json`; `cap` bytes can be written at `out`, which may be null when `cap` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_set_door(
    gateway: *mut Gateway,
    json: *const c_char,
    len: usize,
    out: *mut c_char,
    cap: usize,
) -> i32 {
    contained(|| {
        // SAFETY: null, or alive and nobody else's, by the caller's promise.
        let gateway = unsafe { gateway.as_mut() };
        // SAFETY: as promised by the caller.
        let (Some(gateway), Some(json)) = (gateway, unsafe { bytes(json, len) }) else {
            return NULL;
        };
        let Err(reason) = gateway.set_door(json) else { return 0 };
        if cap > 0 && !out.is_null() {
            let mut text = reason.into_bytes();
            text.truncate(cap - 1);
            text.push(0);
            // SAFETY: as promised by the caller; the text is not longer than `cap`, and ours.
            unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast::<u8>(), text.len()) };
        }
        REFUSED
    })
}

/// The verdict on a request: 0 and the verdict at `verdict`, or a negative number and nothing
/// written. It can be read until the gateway is asked again, or given back.
///
/// # Safety
/// `gateway` as for [`tt_set_door`]; `request` and `verdict` are null, or one of each can be read
/// and written there; every text of the request, up to its count of fields, can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tt_guard(
    gateway: *mut Gateway,
    request: *const CRequest,
    verdict: *mut CVerdict,
) -> i32 {
    contained(|| {
        // SAFETY: each is null, or alive and as the caller promises.
        let all = unsafe { (gateway.as_mut(), request.as_ref(), verdict.as_mut()) };
        let (Some(gateway), Some(asked), Some(verdict)) = all else { return NULL };
        // SAFETY: its texts can be read, as the caller promises.
        let Some(request) = (unsafe { Request::read(asked) }) else { return MALFORMED };
        match gateway.guard(&request, asked.now_s) {
            Ok(shown) => {
                *verdict = shown;
                0
            }
            Err(code) => code,
        }
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
        let (asked, mut verdict) = (asked(), CVerdict::default());
        // SAFETY: every pointer is null, or alive with the given length.
        unsafe {
            assert_eq!(tt_set_door(std::ptr::null_mut(), text, 1, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_set_door(gateway, std::ptr::null(), 1, out.as_mut_ptr(), 16), NULL);
            assert_eq!(tt_set_door(gateway, text, 1, std::ptr::null_mut(), 16), REFUSED);
            assert_eq!(tt_guard(std::ptr::null_mut(), &raw const asked, &raw mut verdict), NULL);
            assert_eq!(tt_guard(gateway, std::ptr::null(), &raw mut verdict), NULL);
            assert_eq!(tt_guard(gateway, &raw const asked, std::ptr::null_mut()), NULL);
            assert_eq!(tt_guard(gateway, &raw const asked, &raw mut verdict), NO_DOOR);
            tt_free(std::ptr::null_mut());
            tt_free(gateway);
        }
    }

    fn asked() -> CRequest {
        let none = Field { name: Text::NONE, value: Text::NONE };
        let (line, fields) = (Text::of(b"GET / HTTP/1.1"), [none; FIELDS_MAX]);
        CRequest { line, address: Text::NONE, now_s: 0, count: 0, fields }
    }

    #[test]
    fn a_length_that_lies_is_no_request() {
        let gateway = tt_new();
        let mut verdict = CVerdict::default();
        let nowhere = Text { len: 1, data: std::ptr::null() };
        let below = Text { len: -1, data: b"x".as_ptr() };
        let bent: [fn(&mut CRequest, Text); 4] = [
            |asked, text| asked.line = text,
            |asked, text| asked.address = text,
            |asked, text| (asked.count, asked.fields[0].name) = (1, text),
            |asked, text| (asked.count, asked.fields[0].value) = (1, text),
        ];
        for text in [nowhere, below] {
            for bend in bent {
                let mut asked = asked();
                bend(&mut asked, text);
                // SAFETY: all pointers are alive, but those that are null.
                let code = unsafe { tt_guard(gateway, &raw const asked, &raw mut verdict) };
                assert_eq!(code, MALFORMED);
            }
        }
        for count in [-1, 513, i32::MIN, i32::MAX] {
            let asked = CRequest { count, ..asked() };
            // SAFETY: all pointers are alive.
            let code = unsafe { tt_guard(gateway, &raw const asked, &raw mut verdict) };
            assert_eq!(code, MALFORMED, "{count}");
        }
        // SAFETY: from `tt_new`, and used no more.
        unsafe { tt_free(gateway) };
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
