//! The request, and the redirects after it. Every hop is looked at as if it were the first.

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tasktonic_worker::{Context, Failure};

use super::why::failed;
use super::{BODY_BYTES_MAX, Body, HEADERS_MAX, HttpConfig, Payload, REDIRECTS_MAX, URL_BYTES_MAX};

/// By which the other side knows that two requests are one.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What the connection says, and what could make two servers disagree where a request ends.
const REFUSED: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "proxy-authorization",
];
/// What goes along to another origin. Anything else may be a credential.
const HARMLESS: [HeaderName; 5] =
    [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT, IDEMPOTENCY_KEY];

/// A request, checked.
pub(super) struct Request {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Request {
    pub(super) fn of(payload: Payload, task: &str) -> Result<Self, Failure> {
        let Payload { url, method, headers: given, body, .. } = payload;
        if url.len() as u64 > URL_BYTES_MAX {
            return Err(Failure::fatal(
                "url_refused",
                format!("An address has at most {URL_BYTES_MAX} bytes."),
            ));
        }
        let url = Url::parse(&url).map_err(|error| {
            Failure::fatal(
                "url_refused",
                format!("The address cannot be read: {error}. Begin it with https://."),
            )
        })?;
        if given.len() > HEADERS_MAX {
            return Err(Failure::fatal(
                "header_refused",
                format!("A request has at most {HEADERS_MAX} headers."),
            ));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            // Values may be secrets: only names are named.
            let wrong = |what: &str| {
                Failure::fatal("header_refused", format!("The header {name:?} {what}."))
            };
            let parsed: HeaderName = name.parse().map_err(|_| wrong("has a name that is none"))?;
            if REFUSED.contains(&parsed.as_str()) {
                return Err(wrong("is set by the connection; leave it out"));
            }
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| wrong("has a value with control characters"))?;
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            let task = HeaderValue::from_str(task).expect("an id is letters, digits, - and _");
            headers.insert(IDEMPOTENCY_KEY, task);
        }
        let (body, media_type) = match body {
            None => (None, None),
            Some(Body::Json(json)) => (Some(json.to_string()), Some("application/json")),
            Some(Body::Text(text)) => (Some(text), Some("text/plain; charset=utf-8")),
        };
        if body.as_ref().is_some_and(|body| body.len() as u64 > BODY_BYTES_MAX) {
            return Err(Failure::fatal(
                "body_too_large",
                format!("A body has at most {BODY_BYTES_MAX} bytes."),
            ));
        }
        if let Some(media_type) = media_type {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
        }
        Ok(Self { url, method: method.into(), headers, body: body.map(Bytes::from) })
    }

    /// Who is asked.
    pub(super) fn host(&self) -> String {
        host(&self.url)
    }

    /// The request after a redirect.
    fn moved(&mut self, status: StatusCode, to: Url) -> Result<(), Failure> {
        if self.url.scheme() == "https" && to.scheme() != "https" {
            return Err(Failure::fatal(
                "redirect_refused",
                format!(
                    "{} sent the request on to an address without encryption.",
                    host(&self.url)
                ),
            ));
        }
        if self.url.origin() != to.origin() {
            let all = std::mem::take(&mut self.headers);
            for name in HARMLESS {
                if let Some(value) = all.get(&name) {
                    self.headers.insert(name, value.clone());
                }
            }
        }
        let get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if get {
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(CONTENT_TYPE);
        }
        self.url = to;
        Ok(())
    }
}

/// Sends the request and follows redirects, unless their status is what is expected. The answer,
/// who gave it, and how many redirects led there.
pub(super) async fn follow(
    client: &Client,
    config: &HttpConfig,
    mut request: Request,
    expected: &[u16],
    cx: &Context,
) -> Result<(Response, String, usize), Failure> {
    for redirects in 0..=REDIRECTS_MAX {
        config.check(&request.url)?;
        let host = host(&request.url);
        let mut sent = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            sent = sent.body(body.clone());
        }
        let response = sent.send().await.map_err(|error| failed(error, &host, cx))?;
        let status = response.status();
        let follows = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response
            .headers()
            .get(LOCATION)
            .filter(|_| follows && !expected.contains(&status.as_u16()))
        else {
            return Ok((response, host, redirects));
        };
        let to = location.to_str().ok().and_then(|to| request.url.join(to).ok());
        let to = to.ok_or_else(|| {
            Failure::fatal(
                "redirect_refused",
                format!("{host} sent the request on to what is no address."),
            )
        })?;
        request.moved(status, to)?;
    }
    Err(Failure::fatal(
        "redirect_refused",
        format!("There are more than {REDIRECTS_MAX} redirects."),
    ))
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
