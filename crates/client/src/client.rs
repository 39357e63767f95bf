//! The client: where the server is, who asks, how long to wait.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::credentials::Nobody;
use crate::{Credentials, Error, Result, Token};

/// How long a client waits, and for what.
#[derive(Debug, Clone)]
pub struct Waits {
    /// For a connection.
    pub connect: Duration,
    /// For the whole answer to a call that the server does not hold back.
    pub answer: Duration,
    /// For the next part of a download or upload.
    pub part: Duration,
    /// Calls that failed for a passing reason are repeated within this time. Zero: never.
    pub repeat: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            part: Duration::from_secs(60),
            repeat: Duration::from_secs(30),
        }
    }
}

/// A client of one server. Cheap to clone; clones share their connections.
///
/// Calls that may be repeated are, within [`Waits::repeat`]: after a refusal that passes (its
/// `Retry-After` is honoured), and after an outcome nobody knows. A submission carries an
/// idempotency key for that, made up if the caller gives none.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) waits: Waits,
}

impl Client {
    /// A client of the server at `url` (such as `http://localhost:8080`) with a fixed token, or
    /// with none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `url` is not one, [`Error::Token`] if `token` cannot be one.
    pub fn new(url: &str, token: Option<Token>) -> Result<Self> {
        let credentials: Arc<dyn Credentials> = match token {
            Some(token) => Arc::new(token.check()?),
            None => Arc::new(Nobody),
        };
        Self::with(url, credentials, Waits::default())
    }

    /// A client of the server at `url` whose tokens come from `credentials`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `url` is not one.
    pub fn with(url: &str, credentials: Arc<dyn Credentials>, waits: Waits) -> Result<Self> {
        let base = base(url)?;
        let http = http(&waits)?;
        Ok(Self { inner: Arc::new(Inner { http, base, credentials, waits }) })
    }

    /// The same server and connections with other credentials.
    #[must_use]
    pub fn with_credentials(&self, credentials: Arc<dyn Credentials>) -> Self {
        let Inner { http, base, waits, .. } = &*self.inner;
        let (http, base, waits) = (http.clone(), base.clone(), waits.clone());
        Self { inner: Arc::new(Inner { http, base, credentials, waits }) }
    }

    /// The same server and credentials with connections of its own.
    ///
    /// A connection lives on the runtime that opened it. What must go on while that runtime is
    /// busy needs its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the machine's roots of trust cannot be read.
    pub fn apart(&self) -> Result<Self> {
        let Inner { base, waits, credentials, .. } = &*self.inner;
        let (base, credentials, waits) = (base.clone(), credentials.clone(), waits.clone());
        Ok(Self { inner: Arc::new(Inner { http: http(&waits)?, base, credentials, waits }) })
    }

    /// Where the server is.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.base.as_str().trim_end_matches('/')
    }

    /// The address of these path segments; each is encoded.
    pub(crate) fn address(&self, segments: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.inner.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn base(url: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::Invalid(format!("the server's address {why}; write it like http://localhost:8080"))
    };
    let parsed = Url::parse(url.trim()).map_err(|_| wrong("cannot be read"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(wrong("must begin with http:// or https://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("must not hold a name or a password: sign in, or give a token"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("must end before ? and #"));
    }
    Ok(parsed)
}

fn http(waits: &Waits) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("tasktonic/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(waits.connect)
        // A token goes to the server it is meant for and to no other.
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .tcp_nodelay(true)
        .build()
        .map_err(|error| Error::Invalid(format!("the HTTP client cannot start: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_mislead_are_refused() {
        for bad in ["", "localhost:8080", "ftp://h", "http://a:b@h", "http://h/?x", "http://h/#x"] {
            let error = Client::new(bad, None).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn segments_are_encoded_and_a_base_path_is_kept() {
        let client = Client::new("http://h:1/under/", None).unwrap();
        let url = client.address(&["tasks", "a/b?c"], &[("q", "x&y".into())]);
        assert_eq!(url.as_str(), "http://h:1/under/tasks/a%2Fb%3Fc?q=x%26y");
        assert_eq!(client.url(), "http://h:1/under");
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let client = Client::new("http://h", Some(Token::new("secret"))).unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }
}
