//! Taking a body in: its size, its type, its JSON, its fields, in this order.

use crate::app::App;
use crate::bodies::{Bodies, Content};
use crate::call::Call;
use crate::conditional;
use crate::fields::Node;
use crate::fields::Value;
use crate::idempotency;
use crate::input::Input;
use crate::json::{Json, Unreadable};
use crate::media;
use crate::problem::Problem;
use crate::query::Parameters;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use std::marker::PhantomData;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::timeout;
use trade_core::command::{Precondition, Request as Submission};

/// The most bytes of a body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a batch.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;

/// For so many bytes, a body may hold one JSON value. The largest lawful ones have as many and more for each of theirs; and
/// what is made of a body then takes at most four times as much as the largest of its kind.
const BYTES_OF_A_VALUE: usize = 32;
/// A body of more is read where it does not hold up others.
const BYTES_READ_AT_ONCE_MAX: usize = 64 * 1024;

/// How much of a refused body is still taken in, and for how long: a client that is writing when its connection is
/// closed may lose the answer that tells it why.
const DRAIN_BYTES_MAX: usize = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// A request with parameters and a body, which has at most `MAX` bytes and was received.
#[derive(Debug)]
pub(crate) struct Received<P, B, const MAX: usize = BODY_BYTES_MAX> {
    pub(crate) call: Call,
    content: Content,
    form: PhantomData<fn() -> (P, B)>,
}

impl<P, B, const MAX: usize> FromRequest<App> for Received<P, B, MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let call = Call::of(&mut parts);
        // Nothing of the body is asked for while the client waits to be told that it is wanted.
        let waits = waits_for_consent(&call.headers);
        let declared =
            call.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length| length > MAX) {
            if !waits {
                drain(body.into_data_stream());
            }
            return Err(too_large(MAX).unread());
        }
        if waits {
            media::check(&call.headers).map_err(Problem::unread)?;
        }
        match timeout(app.options.request_timeout, receive(body, MAX, declared, &app.bodies)).await {
            Ok(content) => Ok(Self { call, content: content?, form: PhantomData }),
            Err(_) => Err(Problem::new("request-timeout", "the body did not arrive in time")),
        }
    }
}

/// `Expect: 100-continue`: the client sends its body after an answer to the head that does not refuse it.
fn waits_for_consent(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

async fn receive(
    body: Body,
    max: usize,
    declared: Option<usize>,
    bodies: &Bodies,
) -> Result<Content, Problem> {
    let mut stream = body.into_data_stream();
    let mut content = Content::new(declared);
    while let Some(chunk) = content.unless_given_up(stream.next()).await? {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "a body broke off");
            Problem::new("malformed-json", "the body broke off")
        })?;
        let taken = if chunk.len() > max - content.bytes.len() {
            Err(too_large(max))
        } else {
            content.add(&chunk, bodies).await
        };
        if let Err(problem) = taken {
            drain(stream);
            return Err(problem.unread());
        }
        if stream.is_end_stream() {
            break;
        }
        content.wait(bodies);
    }
    Ok(content)
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

impl<P: Parameters, B: Value, const MAX: usize> Received<P, B, MAX> {
    /// As [`Self::command`], where the command makes something.
    pub(crate) fn creation<C>(&self, make: impl FnOnce(B) -> Option<C>) -> Result<Submission<C>, Problem> {
        let mut provided = Precondition::None;
        let submission = self.command(|_, body, precondition| {
            provided = precondition;
            make(body)
        })?;
        Ok(submission.provided(provided))
    }

    /// Makes a command of the request; every faulty field is told at once.
    pub(crate) fn command<C>(
        &self,
        make: impl FnOnce(P, B, Precondition) -> Option<C>,
    ) -> Result<Submission<C>, Problem> {
        media::check(&self.call.headers)?;
        let is_long = self.content.bytes.len() > BYTES_READ_AT_ONCE_MAX;
        if is_long && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            tokio::task::block_in_place(|| self.read(make))
        } else {
            self.read(make)
        }
    }

    fn read<C>(&self, make: impl FnOnce(P, B, Precondition) -> Option<C>) -> Result<Submission<C>, Problem> {
        let json = self.json()?;
        let input = Input::new(&self.call, P::NAMES);
        let key = idempotency::key(&self.call, &input.faults);
        let (parameters, body) = (P::read(&input), B::read(Node::body(&json, &input.faults)));
        let precondition = conditional::precondition(&input);
        let (parameters, body) = input.faults.settle(parameters.zip(body))?;
        let command = make(parameters, body, precondition).ok_or_else(Problem::internal)?;
        let submission = Submission::new(command).named(self.call.context.request_id());
        let submission = submission.caused_by(self.call.cause());
        let Some(key) = key else { return Ok(submission) };
        let idempotency = idempotency::identify(&self.call, key, &json).map_err(|error| {
            tracing::error!(%error, "a body cannot be written as JSON again");
            Problem::internal()
        })?;
        Ok(submission.once(idempotency))
    }

    fn json(&self) -> Result<Json<'_>, Problem> {
        let bytes = &self.content.bytes;
        let values_max = MAX / BYTES_OF_A_VALUE;
        Json::parse(bytes, values_max).map_err(|error| match (error, media::other_form(bytes)) {
            (Unreadable::TooManyValues, _) => {
                Problem::new("body-too-large", format!("the body may hold at most {values_max} JSON values"))
            }
            (Unreadable::Malformed(_), Some(form)) => Problem::new("malformed-json", form),
            (Unreadable::Malformed(error), None) => Problem::new("malformed-json", error.to_string()),
        })
    }
}
