//! Signing in and out over HTTP. Tokens go into bodies and HttpOnly cookies, never into an address
//! or a log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tasktonic_auth::door::CookieNames;
use tasktonic_protocol::http::{LoginRequest, LogoutRequest, RefreshRequest, Tokens};
use tasktonic_protocol::problem::Code;

use super::cookies;
use super::{Denied, Error};
use crate::App;
use crate::door::{Passed, Peer};
use crate::problem::Refusal;

/// Bytes of a body here: a name, a password or a token.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest path to come back to.
const NEXT_BYTES_MAX: usize = 2_048;
/// Where one goes who does not say.
const HOME: &str = "/tasks";
/// When it is worth trying again while many sign in, seconds.
const BUSY_RETRY_S: u64 = 2;
/// How long others may keep our public keys.
const JWKS_CACHE: &str = "public, max-age=60";

/// Everything under `/api/v1/auth/`, and our public keys.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/auth/token", post(token))
        .route("/api/v1/auth/refresh", post(refresh).get(refresh_and_go_on))
        .route("/api/v1/auth/logout", post(logout))
        .route("/api/v1/auth/verify", get(verify))
        .route("/api/v1/auth/{*rest}", any(nothing_here))
        .route("/.well-known/jwks.json", get(jwks))
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Credentials => {
                Self::new(Code::CredentialsInvalid, "Check the name and the password.")
            }
            Denied::Refresh => Self::new(Code::TokenInvalid, "Sign in again."),
            Denied::Throttled(wait) => {
                Self::new(Code::TooManyRequests, "Wait a moment before you try to sign in again.")
                    .retry_after(u64::try_from(wait.seconds()).unwrap_or(1).max(1))
            }
            Denied::Busy => {
                Self::new(Code::TooManyRequests, "Many sign in at this moment; try again shortly.")
                    .retry_after(BUSY_RETRY_S)
            }
            Denied::Failed(Error::Store(error)) => error.into(),
            Denied::Failed(error) => Self::internal(&error),
        }
    }
}

/// The JSON body; with `empty_is_default` none at all is the default of its type.
async fn body<T: DeserializeOwned + Default>(request: Request) -> Result<T, Refusal> {
    read(request, true).await.map(Option::unwrap_or_default)
}

async fn read<T: DeserializeOwned>(
    request: Request,
    may_be_empty: bool,
) -> Result<Option<T>, Refusal> {
    let json = request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.to_str().unwrap_or_default();
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    let Ok(bytes) = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await else {
        let detail = format!("Send at most {BODY_BYTES_MAX} bytes.");
        return Err(Refusal::new(Code::PayloadTooLarge, detail));
    };
    let bytes = bytes.to_bytes();
    if bytes.is_empty() && may_be_empty {
        return Ok(None);
    }
    if !json {
        let detail = "Send JSON with the content type application/json.";
        return Err(Refusal::new(Code::MediaTypeUnsupported, detail));
    }
    // The parser's own words could repeat a password.
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| Refusal::bad_request("The body does not have the members that are read here."))
}

async fn token(
    State(app): State<Arc<App>>,
    peer: Peer,
    request: Request,
) -> Result<Response, Refusal> {
    let Some(LoginRequest { username, password }) = read(request, false).await? else {
        return Err(Refusal::bad_request("Send username and password."));
    };
    let signed_in = app.identity.sign_in(&username, password, peer.client).await;
    app.metrics.signed_in(match &signed_in {
        Ok(_) => "signed_in",
        Err(Denied::Credentials) => "refused",
        Err(Denied::Throttled(_) | Denied::Busy) => "throttled",
        Err(_) => "failed",
    });
    Ok(answer(signed_in?))
}

fn answer(tokens: Tokens) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(tokens)).into_response()
}

fn set_cookies(response: &mut Response, names: CookieNames, tokens: &Tokens) {
    let access = names.set(names.access, &tokens.access_token, tokens.expires_in);
    let refresh = names.set(names.refresh, &tokens.refresh_token, tokens.refresh_expires_in);
    cookies::add(response, [access, refresh]);
}

fn clear_cookies(response: &mut Response, names: CookieNames) {
    cookies::add(response, [names.clear(names.access), names.clear(names.refresh)]);
}

async fn refresh(
    State(app): State<Arc<App>>,
    passed: Passed,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let given: RefreshRequest = body(request).await?;
    if let Some(presented) = given.refresh_token {
        return Ok(answer(app.identity.refresh(&presented).await?));
    }
    let names = passed.cookies();
    let Some(presented) = cookies::read(&headers, names.refresh) else {
        return Err(Refusal::new(Code::TokenMissing, "Sign in; there is nothing to renew."));
    };
    match app.identity.refresh(&presented).await {
        Ok(tokens) => {
            // A browser's tokens stay where no script can read them.
            let shown = serde_json::json!({ "expires_in": tokens.expires_in, "user": tokens.user });
            let mut response = ([(CACHE_CONTROL, "no-store")], Json(shown)).into_response();
            set_cookies(&mut response, names, &tokens);
            Ok(response)
        }
        Err(denied) => {
            let over = matches!(denied, Denied::Refresh);
            let mut response = Refusal::from(denied).into_response();
            if over {
                clear_cookies(&mut response, names);
            }
            Ok(response)
        }
    }
}

#[derive(Debug, Deserialize)]
struct Next {
    #[serde(default)]
    next: Option<String>,
}

/// For a navigation whose access token has ended: renews and goes on, or signs out and asks.
async fn refresh_and_go_on(
    State(app): State<Arc<App>>,
    passed: Passed,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let names = passed.cookies();
    // A navigation is answered whatever is wrong with where it wants to go.
    let next = Query::<Next>::try_from_uri(&uri).map_or(None, |Query(Next { next })| next);
    let next = safe_next(next.as_deref());
    let renewed = match cookies::read(&headers, names.refresh) {
        Some(presented) => app.identity.refresh(&presented).await,
        None => Err(Denied::Refresh),
    };
    match renewed {
        Ok(tokens) => {
            let mut response = go(next);
            set_cookies(&mut response, names, &tokens);
            Ok(response)
        }
        Err(Denied::Refresh) => {
            // Both go, or the two redirects would chase each other for ever.
            let mut response = go(&format!("/login?next={}", escape(next)));
            clear_cookies(&mut response, names);
            Ok(response)
        }
        // A store that is away for a moment must not sign anybody out.
        Err(other) => Err(other.into()),
    }
}

async fn logout(
    State(app): State<Arc<App>>,
    passed: Passed,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    let given: LogoutRequest = body(request).await?;
    let names = passed.cookies();
    let by_cookie = cookies::read(&headers, names.refresh);
    let presented = given.refresh_token.as_ref().or(by_cookie.as_ref());
    if let Some(presented) = presented {
        app.identity.sign_out(presented).await.map_err(Denied::from)?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if given.refresh_token.is_none() {
        clear_cookies(&mut response, names);
    }
    Ok(response)
}

/// For front doors that ask before they pass something on: 204 and who it is, or 401.
async fn verify(
    State(app): State<Arc<App>>,
    passed: Passed,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = match bearer {
        Some(value) => value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.to_owned()),
        None => cookies::read(&headers, passed.cookies().access),
    };
    let token = token.ok_or_else(Refusal::unsigned)?;
    let claims = app
        .identity
        .verify(&token)
        .map_err(|refusal| Refusal::new(refusal.code(), "Sign in again, or renew the token."))?;
    let user = HeaderValue::from_str(claims.user.as_str()).expect("user ids are word characters");
    Ok((StatusCode::NO_CONTENT, [("x-tt-user", user)]).into_response())
}

/// Not left to the API, which would ask for a token.
async fn nothing_here() -> Refusal {
    Refusal::not_found()
}

async fn jwks(State(app): State<Arc<App>>) -> Response {
    let headers = [(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, JWKS_CACHE)];
    (headers, app.identity.jwks_json()).into_response()
}

/// `next` if it is a path of this site, else home.
fn safe_next(next: Option<&str>) -> &str {
    let Some(next) = next else { return HOME };
    let mut bytes = next.bytes();
    let ours = bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && next.len() <= NEXT_BYTES_MAX
        && !next.bytes().any(|b| b.is_ascii_control() || b == b'\\')
        && !next.starts_with("/login")
        && !next.starts_with("/api/");
    if ours { next } else { HOME }
}

fn go(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    let to = HeaderValue::from_str(&ascii(to)).unwrap_or(HeaderValue::from_static(HOME));
    headers.insert(LOCATION, to);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An address with everything but ASCII escaped.
fn ascii(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut text, byte| {
        if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// A value of a query.
fn escape(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nobody_is_sent_to_another_site(next in "\\PC{0,40}|[/\\\\a:.@]{0,12}") {
            let to = ascii(safe_next(Some(&next)));
            prop_assert!(to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'));
            prop_assert!(HeaderValue::from_str(&to).is_ok());
        }
    }

    #[test]
    fn filters_in_the_address_survive_and_loops_do_not() {
        assert_eq!(safe_next(Some("/tasks?status=failed")), "/tasks?status=failed");
        for bad in
            ["", "//evil", "/\\evil", "https://evil", "/login", "/api/v1/auth/refresh", "/a\n"]
        {
            assert_eq!(safe_next(Some(bad)), HOME, "{bad:?}");
        }
        assert_eq!(escape("/tasks?a=b&c"), "/tasks%3Fa%3Db%26c");
    }
}
