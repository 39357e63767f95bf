//! The output of a task, byte for byte, whether it stands in the record or in a file. Its reader
//! need not know which.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use tasktonic_protocol::problem::Code;
use tasktonic_protocol::stored::{OutputFile, output_of};

use super::access::{Need, check};
use super::files;
use super::operation::{Body, Operation};
use super::read::{Named, id, known};
use crate::App;
use crate::door::Caller;
use crate::problem::Refusal;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/tasks/{id}/output", "tasks", output)
            .about("The output of a task, byte for byte, however long it is.")
            .header("Range", "One range of bytes, of an output that is in a file.")
            .answers(200, "The output.", Body::Bytes)
            .answers(206, "The range.", Body::Bytes)
            .answers(304, "The copy named in `If-None-Match` is still good.", Body::Nothing)
            .answers(412, "It is not the version named in `If-Match`.", Body::Nothing)
            .answers(416, "It does not have these bytes.", Body::Nothing)
            .refuses(&[Code::NotFound]),
    ]
}

async fn output(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    check(&caller, Need::ReadTasks)?;
    let user = &caller.0.user;
    let state = known(&app, user, id(&task)?).await?.state;
    if let Some(named) = state.as_deref().and_then(OutputFile::of) {
        let file = named.file.parse().map_err(|_| Refusal::not_found())?;
        return files::content(&app, user, &file, (&method, &headers), false).await;
    }
    let Some(output) = state.as_deref().and_then(output_of) else {
        let detail = "This task has no output; only a completed one may have one.";
        return Err(Refusal::new(Code::NotFound, detail));
    };
    let text: Box<str> = output.into();
    let mut response = text.into_string().into_response();
    files::seal(response.headers_mut());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
