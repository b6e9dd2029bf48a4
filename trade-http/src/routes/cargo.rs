//! `/cargo`.

use crate::app::App;
use crate::body::Received;
use crate::cursor::{CargoCursor, HistoryCursor, Paging};
use crate::lines::NewLines;
use crate::operation::{Operation, of_one_change, of_one_read, of_read};
use crate::page::{self, PageOf};
use crate::query::{Asked, Flag, Id, IdBeforeEnd, Limit, parameters};
use crate::reply::{self, CHANGED, CREATED, LIST, ONE, Reply};
use crate::value::body;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use trade_core::command::{CargoOutcome, CreateTransfer, UpdateCargo};
use trade_core::event::Event;
use trade_core::rejection::Rejection;
use trade_core::resource::{Cargo, CargoStatus, Trade};
use trade_core::service::TradeService;
use trade_core::store::{CargoFilter, CargoQuery, TimeRange};
use trade_core::values::{Label, Metadata, Scope, ShipmentId, StationId, Timestamp};

/// The operations on cargo.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "cargo";
    let create = Operation::new(TAG, "Makes a transfer: a shipment without a trade", create)
        .at(Method::POST, "/api/cargo", "createCargo")
        .answers::<CargoChanged<'_>>(StatusCode::CREATED, "The cargo.", CREATED)
        .answers::<CargoChanged<'_>>(StatusCode::OK, "The cargo exists, with the same content.", CREATED)
        .refuses(&["cargo-exists", "unknown-station", "insufficient-stock", "quantity-out-of-range"]);
    let update = Operation::new(TAG, "Tracks a shipment: at least one member must be there", update)
        .at(Method::PATCH, "/api/cargo/{shipmentId}", "updateCargo")
        .at(Method::PUT, "/api/cargo/update/{shipmentId}", "putCargo")
        .also_at("/api/cargo/update/history")
        .answers::<CargoChanged<'_>>(StatusCode::OK, "The cargo, and its trade where that ended.", CHANGED)
        .refuses(&["cargo-not-found", "illegal-transition", "insufficient-stock", "quantity-out-of-range"]);
    let one = Operation::new(TAG, "One shipment", one)
        .at(Method::GET, "/api/cargo/{shipmentId}", "getCargo")
        .answers::<OneCargo<'_>>(StatusCode::OK, "The cargo.", ONE)
        .refuses(&["cargo-not-found"]);
    let list = Operation::new(TAG, "Shipments, newest first", list)
        .at(Method::GET, "/api/cargo", "listCargo")
        .answers::<PageOf<Cargo>>(StatusCode::OK, "A page of them.", LIST);
    let history = Operation::new(TAG, "What happened to a shipment, oldest first", history)
        .at(Method::GET, "/api/cargo/{shipmentId}/history", "listCargoHistory")
        .also_at("/api/cargo/update/history")
        .answers::<PageOf<Event>>(StatusCode::OK, "A page of its events.", LIST)
        .refuses(&["cargo-not-found"]);
    vec![of_read(list), of_one_change(create), of_one_read(one), of_one_change(update), of_read(history)]
}

/// A shipment that was made or changed.
#[derive(Serialize, JsonSchema)]
struct CargoChanged<'a> {
    /// What was done.
    #[schemars(example = "Cargo created successfully")]
    message: &'static str,
    /// The shipment after it.
    cargo: &'a Cargo,
    /// Its trade after it, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    trade: Option<&'a Trade>,
}

body! {
    /// A transfer to be made.
    #[schemars(example = json!({
        "shipmentId": "S-1", "origin": "ceres", "destination": "vesta", "items": [{ "itemId": "fuel", "quantity": 5 }],
    }))]
    pub(crate) struct NewCargo("shipments") {
        /// Its id, which may not begin with `shipment-`; one is made where there is none.
        "shipmentId" => shipment_id: Option<ShipmentId>,
        /// The station that sends.
        "origin" => origin: StationId,
        /// The station that receives; not the origin.
        "destination" => destination: StationId,
        /// What is sent.
        "items" => items: NewLines,
        /// When it is to arrive; in seven days where nothing is said.
        "ETA" => eta: Option<Timestamp>,
        /// What an application keeps with it.
        "metadata" => metadata: Option<Metadata>,
    }

    /// What is new of a shipment: at least one of these.
    #[schemars(example = json!({ "status": "in_transit", "location": "Docking bay 4" }))]
    pub(crate) struct CargoUpdate("updates") {
        /// The status it shall have.
        "status" => status: Option<CargoStatus>,
        /// When it is now expected.
        "ETA" => eta: Option<Timestamp>,
        /// Where it was seen.
        "location" => location: Option<Label>,
        /// What an application keeps with it from now on, in place of what it kept before.
        "metadata" => metadata: Option<Metadata>,
    }
}

impl NewCargo {
    fn command(self, service: &TradeService) -> Option<CreateTransfer> {
        let made = || ShipmentId::new(service.new_id().to_string()).ok();
        let NewCargo { shipment_id, origin, destination, items, eta, metadata } = self;
        let transfer = CreateTransfer::new(shipment_id.or_else(made)?, origin, destination, items.0);
        Some(CreateTransfer { eta, metadata, ..transfer })
    }
}

pub(crate) async fn create(State(app): State<App>, received: Received<(), NewCargo>) -> Reply {
    let request = received.creation(|transfer| transfer.command(&app.service))?;
    let answer = app.session(&received.call).submit(request).await?;
    let CargoOutcome { created, cargo, .. } = &answer.outcome;
    let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
    let changed = CargoChanged { message: "Cargo created successfully", cargo, trade: None };
    let reply = reply::located(reply::json(status, &changed), &received.call, &cargo.shipment_id);
    reply::replayed(reply::tagged(reply, cargo.version), answer.replayed)
}

parameters! {
    /// Which shipment.
    pub(crate) struct WhichCargo {
        /// The shipment.
        "shipmentId" => id: Id<ShipmentId>,
    }

    /// Which shipments.
    pub(crate) struct WhichShipments {
        /// From this station.
        "origin" => origin: Option<StationId>,
        /// To this station.
        "destination" => destination: Option<StationId>,
        /// Of this status.
        "status" => status: Option<CargoStatus>,
        /// Only those past their ETA that have not ended.
        "late" => late: Flag,
        /// Made at this moment or later.
        "since" => since: Option<Timestamp>,
        /// Made before this moment.
        "until" => until: Option<Timestamp>,
        /// The most rows.
        "limit" => limit: Limit<500, 50>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<CargoCursor>,
    }

    /// Which events of a shipment.
    pub(crate) struct WhichHistory {
        /// The shipment.
        "shipmentId" => id: IdBeforeEnd<ShipmentId>,
        /// The most rows.
        "limit" => limit: Limit<500, 50>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<HistoryCursor>,
    }
}

pub(crate) async fn update(State(app): State<App>, received: Received<WhichCargo, CargoUpdate>) -> Reply {
    let request = received.command(|WhichCargo { id: Id(id) }, update, precondition| {
        let CargoUpdate { status, eta, location, metadata } = update;
        Some(UpdateCargo { status, eta, location, metadata, precondition, ..UpdateCargo::new(id) })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let CargoOutcome { cargo, trade, .. } = &answer.outcome;
    let changed = CargoChanged { message: "Cargo updated successfully", cargo, trade: trade.as_deref() };
    reply::replayed(reply::tagged(reply::json(StatusCode::OK, &changed), cargo.version), answer.replayed)
}

/// One shipment.
#[derive(Serialize, JsonSchema)]
struct OneCargo<'a> {
    cargo: &'a Cargo,
}

pub(crate) async fn one(State(app): State<App>, asked: Asked<WhichCargo>) -> Reply {
    let Asked { call, parameters: WhichCargo { id: Id(id) } } = asked;
    let cargo = app.session(&call).cargo(&id).await?.ok_or(Rejection::CargoNotFound(id))?;
    reply::resource(&call, cargo.version, &OneCargo { cargo: &cargo })
}

pub(crate) async fn list(State(app): State<App>, asked: Asked<WhichShipments>) -> Reply {
    let WhichShipments { origin, destination, status, late, since, until, limit, paging } = asked.parameters;
    let late_at = late.0.then(|| app.service.now());
    let created = TimeRange { since, until };
    let filter = &CargoFilter { scope: Scope::All, origin, destination, status, late_at, created };
    let session = &app.session(&asked.call);
    page::list(&app, (&paging, limit.0), |from, limit| async move {
        let before = from.map(|CargoCursor(before)| before);
        let page = session.cargo_list(&CargoQuery { filter: filter.clone(), before, limit }).await?;
        Ok(page::from_position(page, CargoCursor))
    })
    .await
}

pub(crate) async fn history(State(app): State<App>, asked: Asked<WhichHistory>) -> Reply {
    let WhichHistory { id: IdBeforeEnd(id), limit, paging } = asked.parameters;
    let (session, id) = (&app.session(&asked.call), &id);
    page::list(&app, (&paging, limit.0), |from, limit| async move {
        let after = from.map_or(0, |HistoryCursor(after)| after);
        let page = session.cargo_history(id, after, limit).await?;
        let page = page.ok_or_else(|| Rejection::CargoNotFound(id.clone()))?;
        Ok(page::from_position(page, HistoryCursor))
    })
    .await
}
