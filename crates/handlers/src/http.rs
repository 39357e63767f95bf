//! `http.request`: one HTTP request, with the patience of a task. It goes to public addresses only,
//! unless its configuration says otherwise, and never through a proxy.

mod answer;
mod guard;
mod retry_after;
mod send;
mod why;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tasktonic_worker::{Context, Failure, Handler, KindInfo};

pub use guard::{HttpConfig, is_public};

use crate::file::FileOut;

/// The kind.
pub const KIND: &str = "http.request";
/// Redirects that are followed.
pub const REDIRECTS_MAX: usize = 5;
/// Longest address, in bytes.
pub const URL_BYTES_MAX: u64 = 8_192;
/// Headers of a request.
pub const HEADERS_MAX: usize = 50;
/// Longest request body, in bytes.
pub const BODY_BYTES_MAX: u64 = 1 << 20;
/// Longest answer, in bytes.
pub const ANSWER_BYTES_MAX: u64 = 100 << 20;
/// Longest answer that stands in the output, in bytes of JSON; a longer one is kept as a file.
pub const ANSWER_INLINE_BYTES_MAX: usize = 48 * 1024;
/// Longest wait for the whole answer, ms.
pub const TIMEOUT_MS_MAX: u64 = 600_000;
/// Longest wait for a connection, ms.
const CONNECT_MS_MAX: u64 = 10_000;

/// The handler.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    config: Arc<HttpConfig>,
    client: Arc<OnceLock<Client>>,
}

/// What it is asked for.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Where to: `http` or `https`, without a password in it.
    #[schemars(title = "Address", length(min = 1, max = URL_BYTES_MAX), extend("format" = "uri"))]
    url: String,
    /// GET and HEAD only read; the others may change something there.
    #[serde(default)]
    #[schemars(title = "Method")]
    method: Method,
    /// Names and values. `Idempotency-Key` is the task's id unless you give another.
    #[serde(default)]
    #[schemars(title = "Headers", extend("maxProperties" = HEADERS_MAX))]
    headers: BTreeMap<String, String>,
    /// What is sent along.
    #[serde(default)]
    #[schemars(title = "Body")]
    body: Option<Body>,
    /// How long the whole answer may take.
    #[serde(default = "timeout_ms")]
    #[schemars(title = "Timeout (ms)", range(min = 1, max = TIMEOUT_MS_MAX))]
    timeout_ms: u64,
    /// Statuses that mean success; left empty, every 2xx does.
    #[serde(default)]
    #[schemars(title = "Expected status", length(max = 20), inner(range(min = 100, max = 599)))]
    expect: Vec<u16>,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the methods of HTTP")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// What is sent along.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Body {
    /// Sent as `application/json`.
    #[schemars(title = "JSON")]
    Json(Value),
    /// Sent as `text/plain` unless a header says otherwise.
    #[schemars(title = "Text")]
    Text(#[schemars(length(max = BODY_BYTES_MAX))] String),
}

fn timeout_ms() -> u64 {
    30_000
}

/// `30 s`, `1500 ms`.
fn spelled(time: Duration) -> String {
    let ms = time.as_millis();
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// The status.
    pub status: u16,
    /// Who answered, after redirects.
    pub host: String,
    /// Redirects that were followed.
    pub redirects: usize,
    /// The headers that say something about the body.
    pub headers: BTreeMap<&'static str, String>,
    /// Bytes of the body.
    pub bytes: u64,
    /// How long it took, ms.
    pub took_ms: u64,
    /// The body, if it is a text of at most 48 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body, if it is anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileOut>,
}

impl HttpRequest {
    /// A handler that may go where `config` says.
    #[must_use]
    pub fn new(config: HttpConfig) -> Self {
        Self { config: Arc::new(config), client: Arc::default() }
    }

    fn client(&self, cx: &Context) -> Result<&Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::builder()
            .dns_resolver(guard::Vetted(self.config.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("TaskTonic/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .pool_max_idle_per_host(4)
            .build()
            .map_err(|error| why::failed(error, "this machine", cx))?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl Handler for HttpRequest {
    type Payload = Payload;
    type Output = Output;

    fn info(&self) -> KindInfo {
        KindInfo {
            title: Some("Call an address".into()),
            description: Some(
                "Sends one HTTP request. Comes back later when the other side is busy or broken, and keeps large answers as a file.".into(),
            ),
            example: Some(json!({ "url": "https://example.com", "method": "GET" })),
            ..KindInfo::new(KIND)
        }
    }

    async fn run(&self, payload: Payload, cx: &Context) -> Result<Output, Failure> {
        let since = Instant::now();
        let timeout = Duration::from_millis(payload.timeout_ms.clamp(1, TIMEOUT_MS_MAX));
        let expected = payload.expect.clone();
        let request = send::Request::of(payload, &cx.task().to_string())?;
        let asked = request.host();
        let client = self.client(cx)?;
        let exchange = async {
            let (response, host, redirects) =
                send::follow(client, &self.config, request, &expected, cx).await?;
            cx.info(format!("{host} answered {}", response.status()));
            answer::judge(&response, &host, &expected)?;
            let mut output = answer::read(response, &host, cx).await?;
            output.host = host;
            output.redirects = redirects;
            Ok::<_, Failure>(output)
        };
        let mut output = tokio::select! {
            () = cx.cancelled() => return Err(Failure::Cancelled),
            done = tokio::time::timeout(timeout, exchange) => match done {
                Ok(done) => done?,
                Err(_) => {
                    let within = spelled(timeout);
                    return Err(Failure::attempt(
                        "timed_out",
                        format!("{asked} gave no whole answer within {within}."),
                    ));
                }
            }
        };
        output.took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(output)
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Head => Self::HEAD,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
            Method::Options => Self::OPTIONS,
        }
    }
}

// Addresses, headers and bodies may hold secrets.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload").field("method", &self.method).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json(…)",
            Self::Text(_) => "Text(…)",
        })
    }
}
