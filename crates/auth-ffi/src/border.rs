//! What crosses the border, laid out as C has it (`gateway/tasktonic_gateway.h`). Never decides
//! anything, and never looks behind an end that C names.

/// The most header fields of a request; with as many it is taken to have more.
pub const FIELDS_MAX: usize = 512;

/// Bytes that somebody else keeps: `len` of them at `data`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Bytes.
    pub len: i32,
    /// Where they are; anything for none.
    pub data: *const u8,
}

impl Text {
    /// No bytes.
    pub const NONE: Self = Self { len: 0, data: std::ptr::null() };

    /// These bytes. They have to stay as long as somebody may look at them.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // Whatever is longer than a request can be is no text that anybody asked for.
        i32::try_from(bytes.len()).map_or(Self::NONE, |len| Self { len, data: bytes.as_ptr() })
    }

    /// The bytes; nothing for a length below zero or bytes at null.
    ///
    /// # Safety
    /// `len` bytes can be read at `data` for as long as `'a`, unless `data` is null.
    pub(crate) unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        match usize::try_from(self.len).ok()? {
            0 => Some(&[]),
            _ if self.data.is_null() => None,
            // SAFETY: not null, and readable by the caller's promise.
            len => Some(unsafe { std::slice::from_raw_parts(self.data, len) }),
        }
    }

    /// The same as text; nothing also for what is not UTF-8.
    ///
    /// # Safety
    /// As for [`Text::bytes`].
    pub(crate) unsafe fn text<'a>(self) -> Option<&'a str> {
        // SAFETY: as promised by the caller.
        std::str::from_utf8(unsafe { self.bytes() }?).ok()
    }
}

/// A header field.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// In any case.
    pub name: Text,
    /// In a verdict: no bytes for a field that does not go on.
    pub value: Text,
}

/// `tt_request`.
#[repr(C)]
#[derive(Debug)]
pub struct CRequest {
    /// The request line.
    pub line: Text,
    /// The client's address.
    pub address: Text,
    /// Seconds since 1970.
    pub now_s: i64,
    /// How many of the fields count.
    pub count: i32,
    /// Names and values in their order.
    pub fields: [Field; FIELDS_MAX],
}

/// `tt_verdict`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CVerdict {
    /// The location of nginx.conf that goes on with the request.
    pub place: Text,
    /// Whose request it is.
    pub user: Text,
    /// Whom the limit of sign-ins counts.
    pub client: Text,
    /// The body up to the request's id, or where a redirect leads.
    pub body: Text,
    /// A `Set-Cookie`.
    pub cookie: Text,
    /// `http` or `https`.
    pub scheme: Text,
    /// 1 when a token named a key that the door does not know: a newer document may have it.
    pub wants_keys: i32,
    /// How many changes there are.
    pub count: i32,
    /// Header fields that differ from what came.
    pub changes: *const Field,
}

impl Default for CVerdict {
    fn default() -> Self {
        Self {
            place: Text::NONE,
            user: Text::NONE,
            client: Text::NONE,
            body: Text::NONE,
            cookie: Text::NONE,
            scheme: Text::NONE,
            wants_keys: 0,
            count: 0,
            changes: std::ptr::null(),
        }
    }
}
