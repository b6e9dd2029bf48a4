//! Taking a body in: its size, its type, its JSON, its fields, in this order.

use crate::app::App;
use crate::call::Call;
use crate::fields::Node;
use crate::idempotency;
use crate::input::Input;
use crate::json::Json;
use crate::media;
use crate::problem::Problem;
use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use std::time::Duration;
use tokio::time::timeout;
use trade_core::command::{Command, Request as Submission};

/// The most bytes of a body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a batch.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;

/// How much of a refused body is still taken in, and for how long: a client that is writing when its connection is
/// closed may lose the answer that tells it why.
const DRAIN_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// A request whose body of at most `MAX` bytes was received.
#[derive(Debug)]
pub(crate) struct Received<const MAX: usize> {
    pub(crate) call: Call,
    bytes: Bytes,
}

impl<const MAX: usize> FromRequest<App> for Received<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let call = Call::of(&mut parts);
        // Nothing of the body is asked for while the client waits to be told that it is wanted.
        let waits = waits_for_consent(&call.headers);
        let declared =
            call.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > MAX as u64) {
            if !waits {
                drain(body.into_data_stream());
            }
            return Err(too_large(MAX));
        }
        if waits {
            media::check(&call.headers)?;
        }
        match timeout(app.options.request_timeout, receive(body, MAX)).await {
            Ok(bytes) => Ok(Self { call, bytes: bytes? }),
            Err(_) => Err(Problem::new("request-timeout", "the body did not arrive in time")),
        }
    }
}

/// `Expect: 100-continue`: the client sends its body after an answer to the head that does not refuse it.
fn waits_for_consent(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

async fn receive(body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "a body broke off");
            Problem::new("malformed-json", "the body broke off")
        })?;
        if chunk.len() > max - bytes.len() {
            drain(stream);
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn too_large(max: usize) -> Problem {
    Problem::new("body-too-large", format!("the body may be at most {max} bytes"))
}

/// Lets the answer go at once, while what the client is still sending goes nowhere.
fn drain(mut rest: BodyDataStream) {
    let drain = async move {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(chunk)) = rest.next().await
            && left > chunk.len()
        {
            left -= chunk.len();
        }
    };
    tokio::spawn(timeout(DRAIN_TIME_MAX, drain));
}

impl<const MAX: usize> Received<MAX> {
    /// Makes a command of the request; every faulty field is told at once.
    pub(crate) fn command(
        &self,
        read: impl FnOnce(&Input<'_>, Node<'_>) -> Option<Command>,
    ) -> Result<Submission, Problem> {
        media::check(&self.call.headers)?;
        let json = Json::parse(&self.bytes).map_err(|error| match media::other_form(&self.bytes) {
            Some(form) => Problem::new("malformed-json", form),
            None => Problem::new("malformed-json", error.to_string()),
        })?;
        let input = Input::new(&self.call, &[]);
        let key = idempotency::key(&self.call, &input.faults);
        let command = read(&input, Node::body(&json, &input.faults));
        let submission = Submission::new(input.faults.settle(command)?)
            .by(self.call.caller.actor().clone())
            .named(self.call.context.request_id());
        let Some(key) = key else { return Ok(submission) };
        let idempotency = idempotency::identify(&self.call, key, &json).map_err(|error| {
            tracing::error!(%error, "a body cannot be written as JSON again");
            Problem::internal()
        })?;
        Ok(submission.once(idempotency))
    }
}
