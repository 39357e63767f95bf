//! Files up and down, in streams.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tasktonic_files::{Content, FileId};
use tasktonic_protocol::http::StoredFile;
use tasktonic_protocol::worker::LEASE_HEADER;

use crate::ask::Answer;
use crate::{Client, Error, Result};

/// A file on its way down.
pub struct Download {
    /// Bytes in all, if the server says.
    pub size: Option<u64>,
    /// Content type.
    pub media_type: String,
    /// Its name.
    pub name: String,
    pub(crate) headers: HeaderMap,
    /// The content; a connection that breaks is an error in it.
    pub content: Content,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("name", &self.name)
            .field("size", &self.size)
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

/// Refuses what cannot be the id of a file before it becomes part of an address.
fn check(id: &str) -> Result<&str> {
    match id.parse::<FileId>() {
        Ok(_) => Ok(id),
        Err(error) => Err(Error::Invalid(error.to_string())),
    }
}

impl Client {
    /// Uploads `content` as a file named `name`.
    ///
    /// # Errors
    /// Problems `payload_too_large` and `quota_exceeded`; [`Error::Content`] if `content` broke
    /// off. Nothing was kept then. An upload is not repeated by itself: its content is gone.
    pub async fn upload(
        &self,
        name: &str,
        media_type: Option<&str>,
        content: Content,
    ) -> Result<StoredFile> {
        let query = [("name", name.into())];
        let answer = self.send_file(&query, media_type, None, content).await?;
        self.read(&answer)
    }

    /// A file from its beginning.
    ///
    /// # Errors
    /// A problem `not_found` if the caller has no such file.
    pub async fn download(&self, id: &str) -> Result<Download> {
        self.fetch_file(check(id)?, None).await
    }

    /// The output of a task, byte for byte, however long it is.
    ///
    /// # Errors
    /// A problem `not_found` if the caller has no such task, or it has no output.
    pub async fn task_output(&self, id: &str) -> Result<Download> {
        let id = crate::tasks::check(id)?;
        self.fetch(&["api", "v1", "tasks", id, "output"], None).await
    }

    pub(crate) async fn send_file(
        &self,
        query: &[(&str, String)],
        media_type: Option<&str>,
        lease: Option<&str>,
        content: Content,
    ) -> Result<Answer> {
        // The content can be read once, so a token that is over has to be found out before it is
        // sent: the server refuses by the head alone, and then nothing was read.
        let credentials = &self.inner.credentials;
        let token = credentials.token().await?;
        let upload = Upload::of(content);
        let sent = self.send_once(query, media_type, lease, token.as_ref(), &upload).await;
        match (sent, token) {
            (Err(error), Some(token)) if error.wants_token() && upload.is_untouched() => {
                if !credentials.renew(&token).await? {
                    return Err(error);
                }
                let token = credentials.token().await?;
                self.send_once(query, media_type, lease, token.as_ref(), &upload).await
            }
            (sent, _) => sent,
        }
    }

    async fn send_once(
        &self,
        query: &[(&str, String)],
        media_type: Option<&str>,
        lease: Option<&str>,
        token: Option<&crate::Token>,
        upload: &Upload,
    ) -> Result<Answer> {
        let segments = ["api", "v1", "files"];
        let media_type = media_type.unwrap_or("application/octet-stream");
        let mut request = self.request(Method::POST, &segments, query, token)?;
        if let Some(lease) = lease {
            request = request.header(LEASE_HEADER, lease);
        }
        request = request.header(CONTENT_TYPE, media_type).body(upload.body());
        let answer = async {
            let response = request.send().await.map_err(|error| self.failed(error))?;
            self.whole(response).await
        };
        let answer = upload.guard(self.inner.waits.part, answer).await;
        match upload.fault() {
            Some(fault) => Err(Error::Content(fault)),
            None => answer,
        }
    }

    pub(crate) async fn fetch_file(&self, id: &str, lease: Option<&str>) -> Result<Download> {
        self.fetch(&["api", "v1", "files", id], lease).await
    }

    async fn fetch(&self, segments: &[&str], lease: Option<&str>) -> Result<Download> {
        let credentials = &self.inner.credentials;
        let token = credentials.token().await?;
        match (self.fetch_once(segments, lease, token.as_ref()).await, token) {
            (Err(error), Some(token)) if error.wants_token() => {
                if !credentials.renew(&token).await? {
                    return Err(error);
                }
                let token = credentials.token().await?;
                self.fetch_once(segments, lease, token.as_ref()).await
            }
            (fetched, _) => fetched,
        }
    }

    async fn fetch_once(
        &self,
        segments: &[&str],
        lease: Option<&str>,
        token: Option<&crate::Token>,
    ) -> Result<Download> {
        let mut request = self.request(Method::GET, segments, &[], token)?;
        if let Some(lease) = lease {
            request = request.header(LEASE_HEADER, lease);
        }
        let after = self.inner.waits.answer;
        let sent = tokio::time::timeout(after, request.send());
        let response = sent
            .await
            .map_err(|_| Error::Timeout { after })?
            .map_err(|error| self.failed(error))?;
        if !response.status().is_success() {
            self.whole(response).await?;
            return Err(Error::Invalid("a refusal cannot be a success".into()));
        }
        let headers = response.headers().clone();
        let part = self.inner.waits.part;
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        Ok(Download {
            size: response.content_length(),
            media_type: text(CONTENT_TYPE).unwrap_or("application/octet-stream").to_owned(),
            name: text(http::header::CONTENT_DISPOSITION)
                .and_then(file_name)
                .unwrap_or_else(|| segments.last().copied().unwrap_or_default().to_owned()),
            content: patient(response.bytes_stream(), part),
            headers,
        })
    }
}

/// The parts of a body, each awaited for a bounded time.
fn patient(
    parts: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    part: std::time::Duration,
) -> Content {
    let parts = Box::pin(parts);
    Box::pin(futures_util::stream::unfold(Some(parts), move |parts| async move {
        let mut parts = parts?;
        let next = match tokio::time::timeout(part, parts.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(bytes))) => return Some((Ok(bytes), Some(parts))),
            Ok(Some(Err(error))) => std::io::Error::other(error.without_url()),
            Err(_) => std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("the next part of the file did not come within {part:?}"),
            ),
        };
        Some((Err(next), None))
    }))
}

/// The name that a `Content-Disposition` gives, its extended form first.
pub(crate) fn file_name(disposition: &str) -> Option<String> {
    let parameter = |name: &str| {
        let at = disposition.to_ascii_lowercase().find(name)?;
        Some(&disposition[at + name.len()..])
    };
    if let Some(rest) = parameter("filename*=utf-8''") {
        let encoded = rest.split([';', ' ']).next()?;
        return Some(decoded(encoded));
    }
    let rest = parameter("filename=\"")?;
    let mut name = String::new();
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some(name),
            '\\' => name.extend(characters.next()),
            other => name.push(other),
        }
    }
    None
}

/// `%41` is `A`; what is no such code stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Content on its way up: whether it was touched, whether it moves, and what broke it.
struct Upload(Arc<Mutex<State>>);

struct State {
    content: Option<Content>,
    is_untouched: bool,
    moved: tokio::time::Instant,
    fault: Option<std::io::Error>,
}

impl Upload {
    fn of(content: Content) -> Self {
        let moved = tokio::time::Instant::now();
        let state = State { content: Some(content), is_untouched: true, moved, fault: None };
        Self(Arc::new(Mutex::new(state)))
    }

    fn is_untouched(&self) -> bool {
        self.0.lock().is_untouched
    }

    fn fault(&self) -> Option<std::io::Error> {
        self.0.lock().fault.take()
    }

    fn body(&self) -> reqwest::Body {
        reqwest::Body::wrap_stream(Shared(self.0.clone()))
    }

    /// Waits for `answer` for as long as parts go up, and `part` after the last one.
    async fn guard<T>(
        &self,
        part: std::time::Duration,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut answer = std::pin::pin!(answer);
        self.0.lock().moved = tokio::time::Instant::now();
        loop {
            let until = self.0.lock().moved + part;
            tokio::select! {
                answer = &mut answer => return answer,
                () = tokio::time::sleep_until(until) => {
                    if self.0.lock().moved + part <= tokio::time::Instant::now() {
                        return Err(Error::Timeout { after: part });
                    }
                }
            }
        }
    }
}

struct Shared(Arc<Mutex<State>>);

impl Stream for Shared {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let mut state = self.0.lock();
        state.is_untouched = false;
        let Some(content) = state.content.as_mut() else { return std::task::Poll::Ready(None) };
        let next = std::task::ready!(content.poll_next_unpin(cx));
        state.moved = tokio::time::Instant::now();
        std::task::Poll::Ready(next.map(|part| {
            part.map_err(|error| {
                let told = std::io::Error::new(error.kind(), error.to_string());
                state.fault = Some(error);
                told
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_read_in_both_forms() {
        for (text, name) in [
            (r#"attachment; filename="a b.png""#, "a b.png"),
            (r#"inline; filename="a\"b.png""#, "a\"b.png"),
            (r#"attachment; filename="x"; filename*=UTF-8''na%C3%AFve%20%25.txt"#, "naïve %.txt"),
        ] {
            assert_eq!(file_name(text).as_deref(), Some(name), "{text}");
        }
        assert_eq!(file_name("attachment"), None);
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
