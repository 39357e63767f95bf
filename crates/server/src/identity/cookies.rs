//! Cookies of a request that passed the door, and of our answers. Their names and attributes are
//! the door's.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use axum::response::Response;

/// The value of the cookie `name`, unless it is empty. The door lets one of a name pass.
pub(super) fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = found.find(|(key, value)| *key == name && !value.is_empty())?;
    Some(value.to_owned())
}

/// Adds `Set-Cookie` values.
pub(super) fn add(response: &mut Response, cookies: [String; 2]) {
    for cookie in cookies {
        let value = HeaderValue::from_str(&cookie).expect("tokens are base64url and dots");
        response.headers_mut().append(SET_COOKIE, value);
    }
}
