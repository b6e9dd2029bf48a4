//! An operation of the interface: where it is, what answers it, and how it is described. The routes are a table of these,
//! of which the router is made, and the description as well; so nothing is served that is not described.

#![cfg_attr(
    not(feature = "openapi"),
    allow(dead_code, reason = "what describes an operation is only read there")
)]

use crate::app::App;
use crate::body::Received;
use crate::fields::Value;
use crate::query::{Asked, ParameterDescription, Parameters};
use crate::reply::ONE;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::fmt;

/// Makes a schema, and those it refers to.
pub(crate) type MakeSchema = fn(&mut SchemaGenerator) -> Schema;

/// One operation.
pub(crate) struct Operation {
    pub(crate) places: Vec<Place>,
    /// Paths on which it answers too: those of another operation whose last word is an id of this one.
    pub(crate) shared_paths: Vec<&'static str>,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) input: InputDescription,
    /// The headers of the request that it reads.
    pub(crate) headers: Vec<&'static str>,
    pub(crate) answers: Vec<Answer>,
    /// The codes of the problems it may answer, besides those that every operation has.
    pub(crate) codes: Vec<&'static str>,
    route: Box<dyn Fn(MethodFilter) -> MethodRouter<App>>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("places", &self.places).finish_non_exhaustive()
    }
}

/// A path and a method that lead to an operation.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Its name in a generated client.
    pub(crate) id: &'static str,
}

/// What an operation answers when all goes well.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) description: &'static str,
    /// The type of its content, and its schema.
    pub(crate) content: Option<(&'static str, MakeSchema)>,
    pub(crate) headers: &'static [&'static str],
}

/// What a handler reads of a request.
#[derive(Debug)]
pub(crate) struct InputDescription {
    pub(crate) parameters: fn(&mut SchemaGenerator) -> Vec<ParameterDescription>,
    pub(crate) body: Option<BodyDescription>,
}

#[derive(Debug)]
pub(crate) struct BodyDescription {
    pub(crate) schema: MakeSchema,
    pub(crate) bytes_max: usize,
}

/// The arguments of a handler say what it reads.
pub(crate) trait Arguments {
    fn describe() -> InputDescription;
}

impl<M> Arguments for (M,) {
    fn describe() -> InputDescription {
        InputDescription { parameters: <() as Parameters>::describe, body: None }
    }
}

impl<M> Arguments for (M, State<App>) {
    fn describe() -> InputDescription {
        InputDescription { parameters: <() as Parameters>::describe, body: None }
    }
}

impl<M, P: Parameters> Arguments for (M, State<App>, Asked<P>) {
    fn describe() -> InputDescription {
        InputDescription { parameters: P::describe, body: None }
    }
}

impl<M, P: Parameters, B: Value, const MAX: usize> Arguments for (M, State<App>, Received<P, B, MAX>) {
    fn describe() -> InputDescription {
        let body = BodyDescription { schema: SchemaGenerator::subschema_for::<B>, bytes_max: MAX };
        InputDescription { parameters: P::describe, body: Some(body) }
    }
}

impl Operation {
    pub(crate) fn new<H, A>(tag: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<A, App> + Clone + Sync,
        A: Arguments + 'static,
    {
        Self {
            places: Vec::new(),
            shared_paths: Vec::new(),
            tag,
            summary,
            input: A::describe(),
            headers: Vec::new(),
            answers: Vec::new(),
            codes: Vec::new(),
            route: Box::new(move |filter| on(filter, handler.clone())),
        }
    }

    /// A place where it is found. There may be several.
    pub(crate) fn at(mut self, method: Method, path: &'static str, id: &'static str) -> Self {
        self.places.push(Place { method, path, id });
        self
    }

    /// A path of another operation whose last word is an id of this one.
    pub(crate) fn also_at(mut self, path: &'static str) -> Self {
        self.shared_paths.push(path);
        self
    }

    /// Headers of the request that it reads.
    pub(crate) fn reads(mut self, headers: &[&'static str]) -> Self {
        self.headers.extend(headers);
        self
    }

    /// What it answers in JSON, with these headers.
    pub(crate) fn answers<T: JsonSchema>(
        self,
        status: StatusCode,
        description: &'static str,
        headers: &'static [&'static str],
    ) -> Self {
        let schema: MakeSchema = SchemaGenerator::subschema_for::<T>;
        self.answers_with(status, description, Some(("application/json", schema)), headers)
    }

    /// What it answers, in another form or without content.
    pub(crate) fn answers_with(
        mut self,
        status: StatusCode,
        description: &'static str,
        content: Option<(&'static str, MakeSchema)>,
        headers: &'static [&'static str],
    ) -> Self {
        self.answers.push(Answer { status, description, content, headers });
        self
    }

    /// The codes of its problems.
    pub(crate) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// Its routes: each path with what answers there.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&'static str, MethodRouter<App>)> + '_ {
        let own = self.places.iter().map(|place| (place.path, &place.method));
        let shared = self.shared_paths.iter().flat_map(|path| {
            // Of the places, those of as many words.
            let words = path.matches('/').count();
            let same = self.places.iter().filter(move |place| place.path.matches('/').count() == words);
            same.map(move |place| (*path, &place.method))
        });
        own.chain(shared).filter_map(|(path, method)| {
            let filter = MethodFilter::try_from(method.clone()).ok()?;
            Some((path, (self.route)(filter)))
        })
    }
}

/// What everything refuses that reads the store.
pub(crate) fn of_read(operation: Operation) -> Operation {
    operation.refuses(&[
        "invalid-request",
        "too-large-for-store",
        "store-unavailable",
        "newer-version",
        "shutdown",
        "internal",
    ])
}

/// What every change reads and refuses, besides its body.
pub(crate) fn of_change(operation: Operation) -> Operation {
    let codes = ["forbidden", "refused-by-policy"];
    let keys = ["idempotency-in-progress", "idempotency-key-reused"];
    of_read(operation).reads(&["Idempotency-Key", "traceparent"]).refuses(&codes).refuses(&keys)
}

/// The same of a single resource, which has versions.
pub(crate) fn of_one_change(operation: Operation) -> Operation {
    of_change(operation).reads(&["If-Match", "If-None-Match"]).refuses(&["version-mismatch"])
}

/// What a client may have of a single resource.
pub(crate) fn of_one_read(operation: Operation) -> Operation {
    let known = "The client has this version.";
    of_read(operation).reads(&["If-None-Match"]).answers_with(StatusCode::NOT_MODIFIED, known, None, ONE)
}
