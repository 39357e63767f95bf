//! One question to the server: sent, repeated where it may be, and its answer read.

use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tasktonic_protocol::problem::Problem;

use crate::{Client, Error, Pauses, Result, Token};

/// Bytes of an answer that is read whole.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The longest `Retry-After` that is waited for; after a longer one the caller decides.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// When the same question may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Whenever it failed for a passing reason.
    Always,
    /// Never.
    Never,
}

/// One question.
pub(crate) struct Ask {
    method: Method,
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    repeat: Repeat,
    held: Duration,
    bare: bool,
}

/// The answer to one question, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Ask {
    fn new(method: Method, segments: &[&str], repeat: Repeat) -> Self {
        let segments = segments.iter().map(ToString::to_string).collect();
        let (query, body, held, bare) = (Vec::new(), None, Duration::ZERO, false);
        Self { method, segments, query, body, repeat, held, bare }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments, Repeat::Always)
    }

    pub(crate) fn post(segments: &[&str], repeat: Repeat) -> Self {
        Self::new(Method::POST, segments, repeat)
    }

    /// Each may be sent again: it says how something is to be.
    pub(crate) fn put(segments: &[&str]) -> Self {
        Self::new(Method::PUT, segments, Repeat::Always)
    }

    pub(crate) fn delete(segments: &[&str], repeat: Repeat) -> Self {
        Self::new(Method::DELETE, segments, repeat)
    }

    pub(crate) fn query(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Invalid(format!("the request cannot be written: {error}")))?;
        self.body = Some(body.into());
        Ok(self)
    }

    /// The server may hold the answer back for so long.
    pub(crate) fn held(mut self, held: Duration) -> Self {
        self.held = held;
        self
    }

    /// Sent without a token.
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }
}

impl Client {
    /// Asks, and reads the answer as JSON.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T> {
        let answer = self.answer(&ask, &mut false).await?;
        self.read(&answer)
    }

    /// The answer's JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T> {
        // The text of the failure could hold a payload; its place says enough.
        serde_json::from_slice(&answer.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            self.bad(answer.status, format!("its JSON cannot be read at {line}:{column}"))
        })
    }

    pub(crate) fn bad(&self, status: StatusCode, what: impl Into<String>) -> Error {
        Error::BadAnswer { origin: self.url().into(), status: status.as_u16(), what: what.into() }
    }

    /// Asks until there is an answer or no hope. `unsure` is set when an earlier sending of the
    /// same question may have been carried out.
    pub(crate) async fn answer(&self, ask: &Ask, unsure: &mut bool) -> Result<Answer> {
        let since = Instant::now();
        let mut pauses = Pauses::default();
        let mut unknown = None;
        loop {
            let error = match self.with_token(ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match &error {
                Error::Problem { retry_after: Some(asked), .. } => *asked,
                _ => pauses.pause(),
            };
            let is_late = since.elapsed() + pause > self.inner.waits.repeat;
            let is_final = is_late || pause > RETRY_AFTER_MAX || !error.is_passing();
            let is_unknown = error.is_outcome_unknown();
            if is_final || ask.repeat == Repeat::Never {
                *unsure |= is_unknown;
                // That nobody could be reached now says nothing of what was sent before.
                return Err(match unknown {
                    Some(earlier) if matches!(error, Error::Unreachable { .. }) => earlier,
                    _ => error,
                });
            }
            tracing::debug!(%error, ?pause, "asking again");
            if is_unknown {
                *unsure = true;
                unknown = Some(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks with the token there is, and once more with a new one if that is refused.
    async fn with_token(&self, ask: &Ask) -> Result<Answer> {
        if ask.bare {
            return self.once(ask, None).await;
        }
        let credentials = &self.inner.credentials;
        let token = credentials.token().await?;
        match (self.once(ask, token.as_ref()).await, token) {
            (Err(error), Some(token)) if error.wants_token() => {
                if !credentials.renew(&token).await? {
                    return Err(error);
                }
                let token = credentials.token().await?;
                self.once(ask, token.as_ref()).await
            }
            (answer, _) => answer,
        }
    }

    async fn once(&self, ask: &Ask, token: Option<&Token>) -> Result<Answer> {
        let segments: Vec<&str> = ask.segments.iter().map(String::as_str).collect();
        let after = self.inner.waits.answer + ask.held;
        let mut request = self.request(ask.method.clone(), &segments, &ask.query, token)?;
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let sent = async {
            let response = request.send().await.map_err(|error| self.failed(error))?;
            self.whole(response).await
        };
        tokio::time::timeout(after, sent).await.unwrap_or(Err(Error::Timeout { after }))
    }

    /// A request with what every request carries.
    pub(crate) fn request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, String)],
        token: Option<&Token>,
    ) -> Result<reqwest::RequestBuilder> {
        let url = self.address(segments, query);
        let mut request = self.inner.http.request(method, url).header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        Ok(request)
    }

    /// Reads an answer whole; refusals become errors.
    pub(crate) async fn whole(&self, mut response: reqwest::Response) -> Result<Answer> {
        let status = response.status();
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(self.bad(status, "it is too long"));
            }
            body.extend_from_slice(&part);
        }
        if status.is_success() {
            return Ok(Answer { status, body: body.freeze() });
        }
        Err(self.refusal(status, response.headers(), &body))
    }

    /// What a refusal says.
    pub(crate) fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Error::Problem {
                problem: Box::new(problem),
                retry_after: headers.get(RETRY_AFTER).and_then(seconds),
            },
            Err(_) if status.is_redirection() => {
                self.bad(status, "it points to another address, which a token must not follow")
            }
            Err(_) => self.bad(status, "its body is no problem document"),
        }
    }

    /// What became of a request that has no answer.
    pub(crate) fn failed(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(next) = source {
            // The innermost one says it in plain words.
            cause = next.to_string();
            source = next.source();
        }
        if error.is_builder() {
            Error::Invalid(format!("the request cannot be sent: {cause}"))
        } else if error.is_connect() {
            Error::Unreachable { origin: self.url().into(), cause }
        } else {
            Error::Broken { cause }
        }
    }
}

pub(crate) fn bearer(token: &Token) -> Result<HeaderValue> {
    let text = format!("Bearer {}", token.reveal());
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Error::Token("the access token has characters that cannot be sent".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds; its other form, a date, would need a clock to be compared with.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
