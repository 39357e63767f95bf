//! A route together with its description, so that neither is without the other.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use tasktonic_protocol::problem::Code;

use crate::App;

/// What stands in an answer or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// None.
    Nothing,
    /// JSON of a named schema.
    Json(&'static str),
    /// JSON that is described elsewhere.
    AnyJson,
    /// Bytes of any type.
    Bytes,
    /// Text.
    Text,
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// `string` or `integer`.
    pub(crate) form: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
}

/// One method of one path.
pub(crate) struct Operation {
    /// `GET`, `POST`, …
    pub(crate) method: &'static str,
    /// With `{id}` for what varies.
    pub(crate) path: &'static str,
    /// What it does, in one sentence.
    pub(crate) summary: &'static str,
    /// The heading it stands under.
    pub(crate) tag: &'static str,
    /// Query parameters.
    pub(crate) query: Vec<Parameter>,
    /// Headers beside `Authorization`, and what they do.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// What it takes.
    pub(crate) takes: Body,
    /// Statuses and bodies of good answers.
    pub(crate) answers: Vec<(u16, &'static str, Body)>,
    /// Refusals beyond those every route has.
    pub(crate) refusals: Vec<Code>,
    /// Whether it needs no token.
    pub(crate) public: bool,
    /// What answers it.
    pub(crate) handler: MethodRouter<Arc<App>>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, tag: &'static str) -> Self {
        Self {
            method,
            path,
            summary: "",
            tag,
            query: Vec::new(),
            headers: Vec::new(),
            takes: Body::Nothing,
            answers: Vec::new(),
            refusals: Vec::new(),
            public: false,
            handler: MethodRouter::new(),
        }
    }

    /// A `GET` (and `HEAD`) answered by `handler`.
    pub(crate) fn get<H: Handler<T, Arc<App>>, T: 'static>(
        path: &'static str,
        tag: &'static str,
        handler: H,
    ) -> Self {
        Self { handler: on(MethodFilter::GET, handler), ..Self::new("get", path, tag) }
    }

    /// A `POST` answered by `handler`.
    pub(crate) fn post<H: Handler<T, Arc<App>>, T: 'static>(
        path: &'static str,
        tag: &'static str,
        handler: H,
    ) -> Self {
        Self { handler: on(MethodFilter::POST, handler), ..Self::new("post", path, tag) }
    }

    /// A `PUT` answered by `handler`.
    pub(crate) fn put<H: Handler<T, Arc<App>>, T: 'static>(
        path: &'static str,
        tag: &'static str,
        handler: H,
    ) -> Self {
        Self { handler: on(MethodFilter::PUT, handler), ..Self::new("put", path, tag) }
    }

    /// A `DELETE` answered by `handler`, beside what the path answers already.
    pub(crate) fn delete<H: Handler<T, Arc<App>>, T: 'static>(
        path: &'static str,
        tag: &'static str,
        handler: H,
    ) -> Self {
        Self { handler: on(MethodFilter::DELETE, handler), ..Self::new("delete", path, tag) }
    }

    /// A method of a path that another part of the server answers.
    pub(crate) fn elsewhere(method: &'static str, path: &'static str, tag: &'static str) -> Self {
        Self::new(method, path, tag)
    }

    /// What it does.
    pub(crate) fn about(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// A query parameter.
    pub(crate) fn query(
        mut self,
        name: &'static str,
        form: &'static str,
        about: &'static str,
    ) -> Self {
        self.query.push(Parameter { name, form, about });
        self
    }

    /// A header it looks at.
    pub(crate) fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// What it takes.
    pub(crate) fn takes(mut self, body: Body) -> Self {
        self.takes = body;
        self
    }

    /// A good answer.
    pub(crate) fn answers(mut self, status: u16, about: &'static str, body: Body) -> Self {
        self.answers.push((status, about, body));
        self
    }

    /// Refusals of its own.
    pub(crate) fn refuses(mut self, codes: &[Code]) -> Self {
        self.refusals.extend_from_slice(codes);
        self
    }

    /// It needs no token.
    pub(crate) fn public(mut self) -> Self {
        self.public = true;
        self
    }
}
