//! Where a request carries its token. Never decides whether the token is good.

use tasktonic_protocol::problem::Code;

use super::Route;
use super::cookie::Cookies;
use super::headers::Headers;

/// The subprotocol we speak.
pub(super) const SUBPROTOCOL: &str = "tt.v1";
/// A subprotocol that is a token: for browsers, which cannot set headers on a socket.
const TOKEN_SUBPROTOCOL: &str = "tt.jwt.";

/// The characters of a compact JWS. A table, as this is asked of every byte of every request's token.
const IN_A_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        byte += 1;
    }
    table
};

/// A token and how it came.
pub(super) enum Carried<'a> {
    /// In `Authorization`.
    Header(&'a str),
    /// As a subprotocol of the socket.
    Subprotocol(&'a str),
    /// In a cookie: the browser sent it by itself, whoever asked it to.
    Cookie(&'a str),
}

impl<'a> Carried<'a> {
    /// The token of a request. What was meant as one and is none refuses the request, rather than
    /// falling back to the next place.
    pub(super) fn find(
        headers: &Headers<'a>,
        cookies: &Cookies<'a>,
        route: Route,
    ) -> Result<Option<Self>, Code> {
        let header = headers.one("authorization").map_err(|_| Code::BadRequest)?;
        let header = header.map(|value| bearer(value).ok_or(Code::TokenInvalid)).transpose()?;
        let mut by_protocol = None;
        if route == Route::Socket {
            for word in headers.words("sec-websocket-protocol") {
                let Some(token) = word.strip_prefix(TOKEN_SUBPROTOCOL) else { continue };
                if by_protocol.replace(token).is_some() || header.is_some() {
                    return Err(Code::BadRequest);
                }
            }
        }
        Ok(header
            .map(Self::Header)
            .or(by_protocol.map(Self::Subprotocol))
            .or_else(|| cookies.access().map(Self::Cookie)))
    }

    pub(super) fn text(&self) -> &'a str {
        match self {
            Self::Header(token) | Self::Subprotocol(token) | Self::Cookie(token) => token,
        }
    }
}

/// `Bearer`, in any case, one space, and characters of a compact JWS only.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.bytes().all(|byte| IN_A_TOKEN[usize::from(byte)]);
    fits.then_some(token)
}
