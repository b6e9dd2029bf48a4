//! `/trades`.

use crate::app::App;
use crate::body::{BATCH_BYTES_MAX, Received};
use crate::call::Context;
use crate::cursor::{Paging, TradeCursor};
use crate::fields::Value;
use crate::fields::{Faults, Node};
use crate::lines::NewLines;
use crate::operation::{Operation, of_change, of_one_change, of_one_read, of_read};
use crate::page::{self, PageOf};
use crate::problem::{Document, Problem};
use crate::query::{Asked, Id, Limit, parameters};
use crate::reply::{self, CHANGED, CREATED, LIST, ONE, Reply};
use crate::value::{List, body};
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use trade_core::command::{InitiateTrade, InitiateTrades, TradeOutcome, UpdateTrade};
use trade_core::rejection::Rejection;
use trade_core::resource::{Cargo, Settlement, Trade, TradeStatus};
use trade_core::service::TradeService;
use trade_core::store::{TimeRange, TradeFilter, TradeQuery};
use trade_core::values::{ItemId, Metadata, Scope, StationId, Timestamp, TransactionId};

/// The operations on trades.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "trades";
    let stock = ["unknown-station", "insufficient-stock", "quantity-out-of-range", "amount-out-of-range"];
    let initiate = Operation::new(TAG, "Initiates a trade", initiate)
        .at(Method::POST, "/api/trades", "initiateTrade")
        .answers::<TradeChanged<'_>>(StatusCode::CREATED, "The trade, and the cargo that ships it.", CREATED)
        .answers::<TradeChanged<'_>>(StatusCode::OK, "The trade exists, with the same content.", CREATED)
        .refuses(&stock)
        .refuses(&["trade-exists"]);
    let batch = Operation::new(TAG, "Initiates trades in order: each on its own, or all or none", batch)
        .at(Method::POST, "/api/trades/batch", "initiateTrades")
        .answers::<BatchResults<'_>>(StatusCode::OK, "What became of each, in the same order.", BATCH)
        .refuses(&stock)
        .refuses(&["trade-exists"]);
    let update = Operation::new(TAG, "Completes or cancels a trade, and its cargo with it", update)
        .at(Method::PATCH, "/api/trades/{transactionId}", "updateTrade")
        .at(Method::PUT, "/api/trades/update/{transactionId}", "putTrade")
        .also_at("/api/trades/batch")
        .answers::<TradeChanged<'_>>(StatusCode::OK, "The trade and its cargo, as they are now.", CHANGED)
        .refuses(&["trade-not-found", "illegal-transition", "insufficient-stock", "quantity-out-of-range"]);
    let one = Operation::new(TAG, "One trade", one)
        .at(Method::GET, "/api/trades/{transactionId}", "getTrade")
        .also_at("/api/trades/batch")
        .answers::<OneTrade<'_>>(StatusCode::OK, "The trade.", ONE)
        .refuses(&["trade-not-found"]);
    let list = Operation::new(TAG, "Trades, newest first", list)
        .at(Method::GET, "/api/trades", "listTrades")
        .answers::<PageOf<Trade>>(StatusCode::OK, "A page of them.", LIST);
    vec![of_read(list), of_one_change(initiate), of_change(batch), of_one_read(one), of_one_change(update)]
}

/// The headers of the answer to a batch, which has no version.
const BATCH: &[&str] = &["Idempotency-Replayed"];

/// A trade that was made or changed.
#[derive(Serialize, JsonSchema)]
struct TradeChanged<'a> {
    /// What was done.
    #[schemars(example = "Trade initiated successfully")]
    message: &'static str,
    /// The trade after it.
    trade: &'a Trade,
    /// Its cargo after it.
    cargo: &'a Cargo,
}

body! {
    /// A trade to be initiated.
    #[schemars(example = json!({
        "transactionId": "T-1", "seller": "ceres", "buyer": "vesta", "settlement": "on_delivery",
        "items": [{ "itemId": "fuel", "quantity": 30, "unitPrice": { "amount": "2.50", "currency": "GBP" } }],
    }))]
    pub(crate) struct NewTrade("trades") {
        /// Its id; one is made where there is none.
        "transactionId" => transaction_id: Option<TransactionId>,
        /// The station that receives.
        "buyer" => buyer: StationId,
        /// The station that gives; not the buyer.
        "seller" => seller: StationId,
        /// What is sold.
        "items" => items: NewLines,
        /// When stock passes: at once where nothing is said.
        "settlement" => settlement: Option<Settlement>,
        /// When the offer ends; only with settlement on delivery.
        "expiresAt" => expires_at: Option<Timestamp>,
        /// When the cargo is to arrive; in seven days where nothing is said.
        "ETA" => eta: Option<Timestamp>,
        /// What an application keeps with it.
        "metadata" => metadata: Option<Metadata>,
    }

    /// A change of a trade.
    #[schemars(example = json!({ "status": "cancelled" }))]
    pub(crate) struct TradeUpdate("updates") {
        /// The status it shall have: `completed` or `cancelled`.
        "status" => status: TradeStatus,
    }
}

impl NewTrade {
    fn command(self, service: &TradeService) -> Option<InitiateTrade> {
        let made = || TransactionId::new(service.new_id().to_string()).ok();
        let NewTrade { transaction_id, buyer, seller, items, settlement, expires_at, eta, metadata } = self;
        let trade = InitiateTrade::new(transaction_id.or_else(made)?, buyer, seller, items.0);
        let settlement = settlement.unwrap_or(Settlement::Immediate);
        Some(InitiateTrade { settlement, expires_at, eta, metadata, ..trade })
    }
}

pub(crate) async fn initiate(State(app): State<App>, received: Received<(), NewTrade>) -> Reply {
    let request = received.creation(|trade| trade.command(&app.service))?;
    let answer = app.session(&received.call).submit(request).await?;
    let TradeOutcome { created, trade, cargo } = &answer.outcome;
    let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
    let changed = TradeChanged { message: "Trade initiated successfully", trade, cargo };
    let reply = reply::located(reply::json(status, &changed), &received.call, &trade.transaction_id);
    reply::replayed(reply::tagged(reply, trade.version), answer.replayed)
}

/// The trades of a batch.
type NewTrades = List<NewTrade, 1, { InitiateTrades::COUNT_MAX }>;

/// Trades to be initiated in order.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, example = json!({
    "trades": [{ "transactionId": "T-2", "seller": "ceres", "buyer": "vesta", "items": ["fuel"] }], "atomic": true,
}))]
pub(crate) struct Batch {
    /// The trades, of at most 50 000 lines in all.
    #[schemars(with = "NewTrades")]
    trades: Vec<Result<NewTrade, Problem>>,
    /// All or none; otherwise each on its own.
    #[schemars(with = "Option<bool>")]
    atomic: bool,
}

/// Of a batch that is not atomic, a trade whose form is faulty is refused alone, as one is that breaks a rule. An atomic
/// batch is refused with all faults of its trades, and names the first offender.
impl Value for Batch {
    fn read(node: Node<'_>) -> Option<Self> {
        let object = node.object(&["trades", "atomic"])?;
        let atomic = object.member::<Option<bool>>("atomic").flatten().unwrap_or(false);
        let trades = object.required("trades", |node| {
            node.list(NewTrades::BOUNDS, |index, node| {
                if !atomic {
                    let faults = Faults::default();
                    let trade = NewTrade::read(Node::trade(node.json, &faults));
                    return Some(faults.settle(trade));
                }
                let faults_before = node.faults.count();
                let trade = NewTrade::read(node);
                if node.faults.count() > faults_before {
                    node.faults.blame(index);
                }
                trade.map(Ok)
            })
        });
        Some(Self { trades: trades?, atomic })
    }
}

pub(crate) async fn batch(State(app): State<App>, received: Received<(), Batch, BATCH_BYTES_MAX>) -> Reply {
    let mut refused = Vec::new();
    // A batch has no version that a condition could be about.
    let request = received.command(|(), Batch { trades, atomic }, _| {
        let mut commands = Vec::with_capacity(trades.len());
        for (index, trade) in trades.into_iter().enumerate() {
            match trade {
                Ok(trade) => commands.push(trade.command(&app.service)?),
                Err(problem) => refused.push((index, problem)),
            }
        }
        Some(InitiateTrades { trades: commands, atomic })
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
    for (place, problem) in refused {
        results.insert(place, BatchResult::refused(problem, &context));
    }
    reply::replayed(reply::json(StatusCode::OK, &BatchResults { results }), replayed)
}

/// What became of the trades of a batch.
#[derive(Serialize, JsonSchema)]
struct BatchResults<'a> {
    /// In the order of the trades.
    results: Vec<BatchResult<'a>>,
}

/// What became of a trade of a batch: as a request of its own would have been answered.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum BatchResult<'a> {
    Done {
        #[schemars(range(min = 200, max = 201))]
        status: u16,
        trade: &'a Trade,
        cargo: &'a Cargo,
    },
    Refused {
        #[schemars(range(min = 400, max = 599))]
        status: u16,
        problem: Document,
    },
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

parameters! {
    /// Which trade.
    pub(crate) struct WhichTrade {
        /// The trade.
        "transactionId" => id: Id<TransactionId>,
    }

    /// Which trades.
    pub(crate) struct WhichTrades {
        /// Bought or sold by this station.
        "station" => station: Option<StationId>,
        /// Bought by this station.
        "buyer" => buyer: Option<StationId>,
        /// Sold by this station.
        "seller" => seller: Option<StationId>,
        /// Of this status.
        "status" => status: Option<TradeStatus>,
        /// With a line of this item.
        "itemId" => item: Option<ItemId>,
        /// Made at this moment or later.
        "since" => since: Option<Timestamp>,
        /// Made before this moment.
        "until" => until: Option<Timestamp>,
        /// The most rows.
        "limit" => limit: Limit<500, 50>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<TradeCursor>,
    }
}

pub(crate) async fn update(State(app): State<App>, received: Received<WhichTrade, TradeUpdate>) -> Reply {
    let request = received.command(|WhichTrade { id: Id(id) }, TradeUpdate { status }, precondition| {
        Some(UpdateTrade { precondition, ..UpdateTrade::new(id, status) })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let TradeOutcome { trade, cargo, .. } = &answer.outcome;
    let changed = TradeChanged { message: "Trade updated successfully", trade, cargo };
    reply::replayed(reply::tagged(reply::json(StatusCode::OK, &changed), trade.version), answer.replayed)
}

/// One trade.
#[derive(Serialize, JsonSchema)]
struct OneTrade<'a> {
    trade: &'a Trade,
}

pub(crate) async fn one(State(app): State<App>, asked: Asked<WhichTrade>) -> Reply {
    let Asked { call, parameters: WhichTrade { id: Id(id) } } = asked;
    let trade = app.session(&call).trade(&id).await?.ok_or(Rejection::TradeNotFound(id))?;
    reply::resource(&call, trade.version, &OneTrade { trade: &trade })
}

pub(crate) async fn list(State(app): State<App>, asked: Asked<WhichTrades>) -> Reply {
    let WhichTrades { station, buyer, seller, status, item, since, until, limit, paging } = asked.parameters;
    let created = TimeRange { since, until };
    let filter = &TradeFilter { scope: Scope::All, station, buyer, seller, status, item, created };
    let session = &app.session(&asked.call);
    page::list(&app, (&paging, limit.0), |from, limit| async move {
        let before = from.map(|TradeCursor(before)| before);
        let page = session.trades(&TradeQuery { filter: filter.clone(), before, limit }).await?;
        Ok(page::from_position(page, TradeCursor))
    })
    .await
}
