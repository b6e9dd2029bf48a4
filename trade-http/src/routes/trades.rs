//! `/trades`.

use crate::app::App;
use crate::body::{BATCH_BYTES_MAX, BODY_BYTES_MAX, Received};
use crate::call::{Call, Context};
use crate::cursor::TradeCursor;
use crate::fields::{Faults, Node, boolean, text};
use crate::lines::{lines, metadata};
use crate::problem::{Document, Problem};
use crate::reply::{self, Reply};
use crate::{conditional, input::Input, page};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use trade_core::command::{InitiateTrade, InitiateTrades, TradeOutcome, UpdateTrade};
use trade_core::rejection::Rejection;
use trade_core::resource::{Cargo, Settlement, Trade};
use trade_core::service::TradeService;
use trade_core::store::{TimeRange, TradeFilter, TradeQuery};
use trade_core::values::{Scope, TransactionId};

#[derive(Serialize)]
struct Changed<'a> {
    message: &'static str,
    trade: &'a Trade,
    cargo: &'a Cargo,
}

pub(crate) async fn initiate(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.creation(|body| new_trade(body, &app.service))?;
    let answer = app.session(&received.call).submit(request).await?;
    let TradeOutcome { created, trade, cargo } = &answer.outcome;
    let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
    let reply = reply::json(status, &Changed { message: "Trade initiated successfully", trade, cargo });
    let reply = reply::located(reply, &received.call, &trade.transaction_id);
    reply::replayed(reply::tagged(reply, trade.version), answer.replayed)
}

fn new_trade(node: Node<'_>, service: &TradeService) -> Option<InitiateTrade> {
    let object = node.object(&[
        "transactionId",
        "buyer",
        "seller",
        "items",
        "settlement",
        "expiresAt",
        "ETA",
        "metadata",
    ])?;
    let given = object.optional("transactionId", |node| Some(text::<TransactionId>(node)));
    let buyer = object.required("buyer", text);
    let seller = object.required("seller", text);
    let items = object.required("items", lines);
    let settlement = object.optional("settlement", text).unwrap_or(Settlement::Immediate);
    let expires_at = object.optional("expiresAt", text);
    let eta = object.optional("ETA", text);
    let metadata = object.optional("metadata", metadata);
    let transaction_id = given.unwrap_or_else(|| TransactionId::new(service.new_id().to_string()).ok())?;
    let trade = InitiateTrade::new(transaction_id, buyer?, seller?, items?);
    Some(InitiateTrade { settlement, expires_at, eta, metadata, ..trade })
}

/// Of a batch that is not atomic, a trade whose form is faulty is refused alone, as one is that breaks a rule. An atomic
/// batch is refused with all faults of its trades, and names the first offender.
pub(crate) async fn batch(State(app): State<App>, received: Received<BATCH_BYTES_MAX>) -> Reply {
    let refused = RefCell::new(Vec::new());
    let first_offender = Cell::new(None);
    let request = received.command(|input, body| {
        // A batch has no version that a condition could be about.
        let _ = conditional::precondition(input);
        let object = body.object(&["trades", "atomic"])?;
        let atomic = object.optional("atomic", boolean).unwrap_or(false);
        let index = Cell::new(0);
        let trades = object.required("trades", |node| {
            node.list((1, InitiateTrades::COUNT_MAX, "trades"), |node| {
                let place = index.replace(index.get() + 1);
                if !atomic {
                    return Some(
                        alone(node, &app.service)
                            .map_err(|problem| refused.borrow_mut().push((place, problem))),
                    );
                }
                let faults_before = node.faults.count();
                let trade = new_trade(node, &app.service);
                if node.faults.count() > faults_before && first_offender.get().is_none() {
                    first_offender.set(Some(place));
                }
                trade.map(Ok)
            })
        });
        let trades = trades?.into_iter().filter_map(Result::ok).collect();
        Some(InitiateTrades { trades, atomic })
    });
    let request = request.map_err(|problem| match first_offender.get() {
        Some(index) => problem.with("index", index),
        None => problem,
    })?;
    let (decided, replayed, name) = if request.command.trades.is_empty() {
        (Vec::new(), false, None)
    } else {
        let answer = app.session(&received.call).submit(request).await?;
        (answer.outcome, answer.replayed, answer.name)
    };
    let context = received.call.context_of(name);
    let mut results: Vec<_> = decided.iter().map(|result| BatchResult::of(result, &context)).collect();
    // In ascending order of their places, each goes back to where it stood.
    for (place, problem) in refused.into_inner() {
        results.insert(place, BatchResult::refused(problem, &context));
    }
    reply::replayed(reply::json(StatusCode::OK, &BatchResults { results }), replayed)
}

/// A trade of a batch, read as if it were the body.
fn alone(node: Node<'_>, service: &TradeService) -> Result<InitiateTrade, Problem> {
    let faults = Faults::default();
    let trade = new_trade(Node::trade(node.json, &faults), service);
    faults.settle(trade)
}

#[derive(Serialize)]
struct BatchResults<'a> {
    results: Vec<BatchResult<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum BatchResult<'a> {
    Done { status: u16, trade: &'a Trade, cargo: &'a Cargo },
    Refused { status: u16, problem: Document },
}

impl<'a> BatchResult<'a> {
    fn of(result: &'a Result<TradeOutcome, Rejection>, context: &Context) -> Self {
        match result {
            Ok(TradeOutcome { created, trade, cargo }) => {
                let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
                Self::Done { status: status.as_u16(), trade, cargo }
            }
            Err(rejection) => Self::refused(Problem::from(rejection.clone()), context),
        }
    }

    fn refused(problem: Problem, context: &Context) -> Self {
        Self::Refused { status: problem.status().as_u16(), problem: problem.document(context) }
    }
}

pub(crate) async fn update(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.command(|input, body| {
        let transaction_id = input.id("transactionId");
        let object = body.object(&["status"]);
        let status = object.and_then(|object| object.required("status", text));
        let precondition = conditional::precondition(input);
        let command = UpdateTrade { transaction_id: transaction_id?, status: status?, precondition };
        Some(command)
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let TradeOutcome { trade, cargo, .. } = &answer.outcome;
    let reply = reply::json(StatusCode::OK, &Changed { message: "Trade updated successfully", trade, cargo });
    reply::replayed(reply::tagged(reply, trade.version), answer.replayed)
}

#[derive(Serialize)]
struct One<'a> {
    trade: &'a Trade,
}

pub(crate) async fn one(State(app): State<App>, call: Call) -> Reply {
    let id: TransactionId = call.read(&[], |input| input.id("transactionId"))?;
    let trade = app.session(&call).trade(&id).await?.ok_or(Rejection::TradeNotFound(id))?;
    reply::resource(&call, trade.version, &One { trade: &trade })
}

pub(crate) async fn list(State(app): State<App>, call: Call) -> Reply {
    let known = ["station", "buyer", "seller", "status", "itemId", "since", "until", "limit", "cursor"];
    let (filter, paging, limit) = call.read(&known, |input| {
        let filter = TradeFilter {
            scope: Scope::All,
            station: input.value("station"),
            buyer: input.value("buyer"),
            seller: input.value("seller"),
            status: input.value("status"),
            item: input.value("itemId"),
            created: created(input),
        };
        let limit = input.limit();
        Some((filter, input.paging()?, limit))
    })?;
    let (session, filter) = (&app.session(&call), &filter);
    page::list(&app, "trades", (&paging, limit), |from, limit| async move {
        let before = from.map(|TradeCursor(before)| before);
        let page = session.trades(&TradeQuery { filter: filter.clone(), before, limit }).await?;
        Ok(page::from_position(page, TradeCursor))
    })
    .await
}

/// The span of creation times asked for.
pub(super) fn created(input: &Input<'_>) -> TimeRange {
    TimeRange { since: input.value("since"), until: input.value("until") }
}
