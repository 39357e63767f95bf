//! The description of the whole API (OpenAPI 3.1), built from the routes themselves, and from a
//! list of those that other parts of the server answer.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Map, Value, json};
use tasktonic_protocol::problem::{Code, PROBLEM_JSON};
use utoipa::OpenApi;

use crate::api;
use crate::api::operation::{Body, Operation};

/// Refusals every route with a token may answer with.
const EVERYWHERE: &[Code] = &[
    Code::TokenMissing,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenAlgorithm,
    Code::Forbidden,
    Code::ForeignOrigin,
    Code::BadRequest,
    Code::MethodNotAllowed,
    Code::UnknownHost,
    Code::TooManyRequests,
    Code::HeadersTooLarge,
    Code::Internal,
    Code::StoreUnavailable,
];

#[derive(OpenApi)]
#[openapi(components(schemas(
    tasktonic_protocol::http::SubmitRequest,
    tasktonic_protocol::http::BatchRequest,
    tasktonic_protocol::http::BatchReply,
    tasktonic_protocol::http::BulkRequest,
    tasktonic_protocol::http::BulkReply,
    tasktonic_protocol::http::BulkOrder,
    tasktonic_protocol::http::BulkCount,
    tasktonic_protocol::http::BulkDone,
    tasktonic_protocol::http::RetryRequest,
    tasktonic_protocol::http::Erasure,
    tasktonic_protocol::http::RescheduleRequest,
    tasktonic_protocol::http::EditRequest,
    tasktonic_protocol::http::FlowRequest,
    tasktonic_protocol::http::FlowAddRequest,
    tasktonic_protocol::http::BatchOpenRequest,
    tasktonic_protocol::http::Flow,
    tasktonic_protocol::http::FlowRetried,
    tasktonic_protocol::http::TaskLinks,
    tasktonic_protocol::http::QueueList,
    tasktonic_protocol::http::QueueDetail,
    tasktonic_protocol::http::QueueChange,
    tasktonic_protocol::http::QueueUser,
    tasktonic_protocol::http::QueueUserChange,
    tasktonic_protocol::http::Rate,
    tasktonic_protocol::http::RateChange,
    tasktonic_protocol::http::OwnQueueList,
    tasktonic_protocol::http::Pause,
    tasktonic_protocol::http::PauseRequest,
    tasktonic_protocol::http::ScheduleRequest,
    tasktonic_protocol::http::ScheduleSet,
    tasktonic_protocol::http::ScheduleSetReply,
    tasktonic_protocol::http::ScheduleList,
    tasktonic_protocol::http::Schedule,
    tasktonic_protocol::http::PreviewRequest,
    tasktonic_protocol::http::Preview,
    tasktonic_protocol::http::Why,
    tasktonic_protocol::http::TaskPage,
    tasktonic_protocol::http::BytesChange,
    tasktonic_protocol::http::BytesHeld,
    tasktonic_protocol::http::BytesLimit,
    tasktonic_protocol::http::Counts,
    tasktonic_protocol::http::AttemptList,
    tasktonic_protocol::http::LogPage,
    tasktonic_protocol::http::TaskPosition,
    tasktonic_protocol::http::KindList,
    tasktonic_protocol::http::WorkerList,
    tasktonic_protocol::http::StoredFile,
    tasktonic_protocol::http::Me,
    tasktonic_protocol::http::LoginRequest,
    tasktonic_protocol::http::RefreshRequest,
    tasktonic_protocol::http::Tokens,
    tasktonic_protocol::task::Task,
    tasktonic_protocol::problem::Problem,
)))]
struct Schemas;

/// The document, as pretty JSON with a line at the end.
#[must_use]
pub fn document() -> String {
    let mut text = serde_json::to_string_pretty(&value()).expect("maps with string keys serialise");
    text.push('\n');
    text
}

/// Serves the document to everybody.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let text = document();
    Router::new().route("/openapi.json", get(move || serve(text.clone())))
}

async fn serve(text: String) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text)
}

/// The document as a value.
fn value() -> Value {
    let schemas = serde_json::to_value(Schemas::openapi()).expect("a document serialises");
    let mut paths = Map::new();
    for operation in api::operations().into_iter().chain(elsewhere()) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(&operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Task Tonic",
            "description": "Durable background tasks for the users of a web product. Times are RFC 3339 in UTC, durations end in `_ms`; refusals are problem documents (RFC 9457) with a stable `code`.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }, { "cookie": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas["components"]["schemas"],
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "__Host-tt_at" },
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": name(operation),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": responses(operation),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(content) = content(operation.takes) {
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    if operation.public {
        described["security"] = json!([]);
    }
    described
}

/// `get_tasks_id_logs` from `GET /api/v1/tasks/{id}/logs`.
fn name(operation: &Operation) -> String {
    let path = operation.path.trim_start_matches("/api/v1");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(operation.method).chain(words).collect::<Vec<_>>().join("_")
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut parameters = Vec::new();
    for part in operation.path.split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            let schema = json!({ "type": "string" });
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
    }
    for parameter in &operation.query {
        parameters.push(json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.about,
            "required": operation.method == "post",
            "schema": { "type": parameter.form },
        }));
    }
    for (name, about) in &operation.headers {
        let schema = json!({ "type": "string" });
        parameters
            .push(json!({ "name": name, "in": "header", "description": about, "schema": schema }));
    }
    parameters
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (status, about, body) in &operation.answers {
        let mut response = json!({ "description": about });
        if let Some(content) = content(*body) {
            response["content"] = content;
        }
        responses.insert(status.to_string(), response);
    }
    let general = if operation.public { &[][..] } else { EVERYWHERE };
    let mut codes: Vec<Code> = operation.refusals.iter().chain(general).copied().collect();
    codes.sort_unstable_by_key(|code| (code.status(), code.name()));
    codes.dedup();
    for statuses in codes.chunk_by(|a, b| a.status() == b.status()) {
        let names: Vec<_> = statuses.iter().map(|code| format!("`{}`", code.name())).collect();
        let problem = json!({ "$ref": "#/components/schemas/Problem" });
        responses.insert(
            statuses[0].status().to_string(),
            json!({
                "description": names.join(", "),
                "content": { PROBLEM_JSON: { "schema": problem } },
            }),
        );
    }
    responses.into()
}

fn content(body: Body) -> Option<Value> {
    Some(match body {
        Body::Nothing => return None,
        Body::Json(name) => {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
            json!({ "application/json": { "schema": schema } })
        }
        Body::AnyJson => json!({ "application/json": { "schema": { "type": "object" } } }),
        Body::Bytes => json!({ "*/*": {} }),
        Body::Text => json!({ "text/plain": { "schema": { "type": "string" } } }),
    })
}

/// What other parts of the server answer.
fn elsewhere() -> Vec<Operation> {
    let auth = |method, path| Operation::elsewhere(method, path, "people").public();
    let status = |path| Operation::elsewhere("get", path, "installation").public();
    vec![
        auth("post", "/api/v1/auth/token")
            .about("Signs in with a name and a password.")
            .takes(Body::Json("LoginRequest"))
            .answers(200, "The tokens.", Body::Json("Tokens"))
            .refuses(&[
                Code::BadRequest,
                Code::CredentialsInvalid,
                Code::ForeignOrigin,
                Code::PayloadTooLarge,
                Code::MediaTypeUnsupported,
                Code::TooManyRequests,
                Code::StoreUnavailable,
            ]),
        auth("post", "/api/v1/auth/refresh")
            .about("Exchanges a refresh token, from the body or the cookie, for the next tokens.")
            .takes(Body::Json("RefreshRequest"))
            .answers(200, "The tokens.", Body::Json("Tokens"))
            .refuses(&[
                Code::BadRequest,
                Code::TokenMissing,
                Code::TokenInvalid,
                Code::ForeignOrigin,
            ]),
        auth("get", "/api/v1/auth/refresh")
            .about("The same for a browser on its way to a page.")
            .answers(303, "To the page, or to the sign-in.", Body::Nothing),
        auth("post", "/api/v1/auth/logout")
            .about("Ends a session: its refresh token is worth nothing afterwards.")
            .takes(Body::Json("RefreshRequest"))
            .answers(204, "It is over.", Body::Nothing)
            .refuses(&[Code::BadRequest, Code::ForeignOrigin]),
        Operation::elsewhere("get", "/api/v1/auth/verify", "people")
            .about(
                "Whether the token is good, for a proxy that asks before it passes a request on.",
            )
            .answers(204, "It is.", Body::Nothing),
        Operation::elsewhere("get", "/ws", "live")
            .about("The socket with live updates; WebSocket, subprotocol `tt.v1`.")
            .answers(101, "The socket is open.", Body::Nothing)
            .refuses(&[Code::UpgradeRequired]),
        status("/.well-known/jwks.json")
            .about("The keys that tokens of this installation are signed with.")
            .answers(200, "A JSON Web Key Set.", Body::AnyJson),
        status("/openapi.json").about("This document.").answers(
            200,
            "The document.",
            Body::AnyJson,
        ),
        status("/healthz").about("Whether the process is alive.").answers(
            200,
            "It is.",
            Body::Text,
        ),
        status("/readyz")
            .about("Whether it can take work: store, pages, not draining.")
            .answers(200, "It can.", Body::AnyJson)
            .answers(503, "It cannot; the body says why.", Body::AnyJson),
        status("/metrics")
            .about("Figures in the text format of Prometheus, for callers on the same machine.")
            .answers(200, "The figures.", Body::Text)
            .refuses(&[Code::Forbidden, Code::NotFound]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the committed document is.
    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        if std::env::var_os("TASKTONIC_WRITE_DOCS").is_some() {
            std::fs::write(COMMITTED, document()).expect("the document can be written");
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == document(),
            "docs/openapi.json is not what the routes say. Write it anew with \
             `TASKTONIC_WRITE_DOCS=1 cargo test -p tasktonic-server --lib openapi`"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        found.push(to.clone());
                    }
                    members.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = value();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 30);
        for to in found {
            assert!(document.pointer(&to[1..]).is_some(), "{to} leads nowhere");
        }
        let paths = document["paths"].as_object().unwrap();
        let mut names: Vec<_> = paths
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_operation_says_what_it_does_and_how_it_answers() {
        for operation in api::operations().into_iter().chain(elsewhere()) {
            assert!(operation.summary.ends_with('.'), "{}", operation.path);
            assert!(!operation.answers.is_empty(), "{}", operation.path);
        }
    }
}
