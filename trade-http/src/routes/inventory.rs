//! `/inventory`.

use crate::app::App;
use crate::body::Received;
use crate::cursor::{ItemCursor, LedgerCursor, Paging, StationCursor};
use crate::lines::OpeningStock;
use crate::operation::{Operation, of_one_change, of_one_read, of_read};
use crate::page::{self, PageOf};
use crate::query::{Asked, Id, IdBeforeEnd, Limit, Listed, parameters};
use crate::reply::{self, CHANGED, CREATED, LIST, ONE, Reply};
use crate::value::{List, body};
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use trade_core::command::{AdjustInventory, Adjustment, AdjustmentReason, CreateStation};
use trade_core::rejection::Rejection;
use trade_core::resource::{Inventory, LedgerEntry, Lines};
use trade_core::store::{InventoryQuery, LedgerQuery, StationQuery};
use trade_core::values::{Delta, ItemId, Label, Metadata, StationId};

/// The most items that a list of stations shows of each.
const LISTED_ITEMS_MAX: usize = 100;

/// The operations on stations and their stock.
pub(super) fn operations() -> Vec<Operation> {
    const TAG: &str = "inventory";
    let create = Operation::new(TAG, "Makes a station", create)
        .at(Method::POST, "/api/inventory", "createStation")
        .answers::<InventoryChanged<'_>>(StatusCode::CREATED, "The station with its stock.", CREATED)
        .refuses(&["station-exists", "quantity-out-of-range"]);
    let adjust = Operation::new(TAG, "Changes a station: at least one member must be there", adjust)
        .at(Method::PATCH, "/api/inventory/{stationId}", "updateStation")
        .at(Method::PUT, "/api/inventory/update/{stationId}", "putStation")
        .also_at("/api/inventory/update/ledger")
        .answers::<InventoryChanged<'_>>(StatusCode::OK, "The station, with the items that changed.", CHANGED)
        .refuses(&["station-not-found", "insufficient-stock", "quantity-out-of-range"]);
    let one = Operation::new(TAG, "One station and its stock", one)
        .at(Method::GET, "/api/inventory/{stationId}", "getStation")
        .answers::<OneInventory>(StatusCode::OK, "The station, with a page of its items.", ONE)
        .refuses(&["station-not-found"]);
    let list = Operation::new(TAG, "Stations, newest first, with at most 100 items of each", list)
        .at(Method::GET, "/api/inventory", "listStations")
        .answers::<PageOf<Inventory>>(StatusCode::OK, "A page of them.", LIST);
    let ledger = Operation::new(TAG, "The stock ledger of a station, newest first", ledger)
        .at(Method::GET, "/api/inventory/{stationId}/ledger", "listLedger")
        .also_at("/api/inventory/update/ledger")
        .answers::<PageOf<LedgerEntry>>(StatusCode::OK, "A page of its entries.", LIST)
        .refuses(&["station-not-found"]);
    vec![of_read(list), of_one_change(create), of_one_read(one), of_one_change(adjust), of_read(ledger)]
}

/// A station that was made or changed.
#[derive(Serialize, JsonSchema)]
struct InventoryChanged<'a> {
    /// What was done.
    #[schemars(example = "Inventory created successfully")]
    message: &'static str,
    /// The station after it.
    inventory: &'a Inventory,
}

body! {
    /// A station to be made.
    #[schemars(example = json!({
        "stationId": "ceres", "name": "Ceres Station", "items": [{ "itemId": "fuel", "quantity": 100 }],
    }))]
    pub(crate) struct NewStation("stations") {
        /// Its id.
        "stationId" => station_id: StationId,
        /// Its name.
        "name" => name: Option<Label>,
        /// What an application keeps with it.
        "metadata" => metadata: Option<Metadata>,
        /// What it holds.
        "items" => items: Option<OpeningStock>,
    }

    /// What is new of a station: at least one of these.
    #[schemars(example = json!({ "adjustments": [{ "itemId": "fuel", "delta": 20, "reason": "received" }] }))]
    pub(crate) struct StationUpdate("updates") {
        /// Changes of its stock, all in one step.
        "adjustments" => adjustments: Option<List<NewAdjustment, 1, { Lines::COUNT_MAX }>>,
        /// Its name from now on.
        "name" => name: Option<Label>,
        /// What an application keeps with it from now on, in place of what it kept before.
        "metadata" => metadata: Option<Metadata>,
    }

    /// A change of the stock of an item.
    pub(crate) struct NewAdjustment("lines") {
        /// The item.
        "itemId" => item_id: ItemId,
        /// Units that came in (positive) or left (negative).
        "delta" => delta: Delta,
        /// Why.
        "reason" => reason: AdjustmentReason,
    }
}

pub(crate) async fn create(State(app): State<App>, received: Received<(), NewStation>) -> Reply {
    let request = received.creation(|NewStation { station_id, name, metadata, items }| {
        let items = items.map_or_else(Vec::new, |stock| stock.0);
        Some(CreateStation { name, metadata, items, ..CreateStation::new(station_id) })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let inventory = &answer.outcome;
    let changed = InventoryChanged { message: "Inventory created successfully", inventory };
    let reply = reply::json(StatusCode::CREATED, &changed);
    let reply = reply::located(reply, &received.call, &inventory.station_id);
    reply::replayed(reply::tagged(reply, inventory.version), answer.replayed)
}

parameters! {
    /// Which station.
    pub(crate) struct WhichStation {
        /// The station.
        "stationId" => id: Id<StationId>,
    }

    /// Which station, and which of its items.
    pub(crate) struct WhichStock {
        /// The station.
        "stationId" => id: Id<StationId>,
        /// Only these items.
        "itemId" => items: Listed<ItemId>,
        /// The most items.
        "limit" => limit: Limit<{ Inventory::ITEMS_MAX }, { Inventory::ITEMS_MAX }>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<ItemCursor>,
    }

    /// Which stations.
    pub(crate) struct WhichStations {
        /// The most rows.
        "limit" => limit: Limit<500, 50>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<StationCursor>,
    }

    /// Which entries of a ledger.
    pub(crate) struct WhichEntries {
        /// The station.
        "stationId" => id: IdBeforeEnd<StationId>,
        /// Only those of this item.
        "itemId" => item: Option<ItemId>,
        /// The most rows.
        "limit" => limit: Limit<500, 50>,
        /// Where the page before ended: its `nextCursor`.
        "cursor" => paging: Paging<LedgerCursor>,
    }
}

pub(crate) async fn adjust(State(app): State<App>, received: Received<WhichStation, StationUpdate>) -> Reply {
    let request = received.command(|WhichStation { id: Id(id) }, update, precondition| {
        let StationUpdate { adjustments, name, metadata } = update;
        let adjustments = adjustments.map_or_else(Vec::new, |adjustments| adjustments.0);
        let adjustment = |NewAdjustment { item_id, delta, reason }| Adjustment { item_id, delta, reason };
        let adjust = AdjustInventory::new(id, adjustments.into_iter().map(adjustment).collect());
        Some(AdjustInventory { name, metadata, precondition, ..adjust })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let inventory = &answer.outcome;
    let changed = InventoryChanged { message: "Inventory updated successfully", inventory };
    let reply = reply::json(StatusCode::OK, &changed);
    reply::replayed(reply::tagged(reply, inventory.version), answer.replayed)
}

/// One station, with a page of its items.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OneInventory {
    inventory: Inventory,
    /// The `cursor` of the next page of items; null at the end.
    next_cursor: Option<String>,
}

pub(crate) async fn one(State(app): State<App>, asked: Asked<WhichStock>) -> Reply {
    let Asked { call, parameters } = asked;
    let WhichStock { id: Id(id), items: Listed(mut items), limit, paging } = parameters;
    items.sort();
    let after = paging.from.clone().map(|ItemCursor(after)| after);
    let query = InventoryQuery { items, after, limit: limit.0 };
    let page = app.session(&call).inventory(&id, &query).await?.ok_or(Rejection::StationNotFound(id))?;
    let next_cursor = page.next.map(|next| paging.next(&ItemCursor(next)));
    let version = page.inventory.version;
    reply::resource(&call, version, &OneInventory { inventory: page.inventory, next_cursor })
}

pub(crate) async fn list(State(app): State<App>, asked: Asked<WhichStations>) -> Reply {
    let WhichStations { limit, paging } = asked.parameters;
    let session = &app.session(&asked.call);
    page::list(&app, (&paging, limit.0), |from, limit| async move {
        let before = from.map(|StationCursor(before)| before);
        let page = session.inventory_list(&StationQuery::all(before, limit, LISTED_ITEMS_MAX)).await?;
        Ok(page::from_position(page, StationCursor))
    })
    .await
}

pub(crate) async fn ledger(State(app): State<App>, asked: Asked<WhichEntries>) -> Reply {
    let WhichEntries { id: IdBeforeEnd(id), item, limit, paging } = asked.parameters;
    let (session, id, item) = (&app.session(&asked.call), &id, &item);
    page::list(&app, (&paging, limit.0), |from, limit| async move {
        let before = from.map(|LedgerCursor(before)| before);
        let page = session.ledger(id, &LedgerQuery { item: item.clone(), before, limit }).await?;
        let page = page.ok_or_else(|| Rejection::StationNotFound(id.clone()))?;
        Ok(page::from_position(page, LedgerCursor))
    })
    .await
}
