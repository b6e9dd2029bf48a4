//! `/inventory`.

use crate::app::App;
use crate::body::{BODY_BYTES_MAX, Received};
use crate::call::Call;
use crate::conditional;
use crate::cursor::{ItemCursor, LedgerCursor, Paging, StationCursor};
use crate::fields::{Node, text};
use crate::lines::{delta, metadata, opening_lines};
use crate::page;
use crate::reply::{self, Reply};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use trade_core::command::{AdjustInventory, Adjustment, CreateStation};
use trade_core::rejection::Rejection;
use trade_core::resource::{Inventory, Lines};
use trade_core::store::{InventoryQuery, LedgerQuery, StationQuery};
use trade_core::values::{ItemId, StationId};

/// The most items that a list of stations shows of each.
const LISTED_ITEMS_MAX: usize = 100;

#[derive(Serialize)]
struct Changed<'a> {
    message: &'static str,
    inventory: &'a Inventory,
}

pub(crate) async fn create(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.creation(|body| {
        let object = body.object(&["stationId", "name", "metadata", "items"])?;
        let station_id = object.required("stationId", text);
        let name = object.optional("name", text);
        let metadata = object.optional("metadata", metadata);
        let items = object.optional("items", opening_lines).unwrap_or_default();
        Some(CreateStation { name, metadata, items, ..CreateStation::new(station_id?) })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let inventory = &answer.outcome;
    let changed = Changed { message: "Inventory created successfully", inventory };
    let reply = reply::json(StatusCode::CREATED, &changed);
    let reply = reply::located(reply, &received.call, &inventory.station_id);
    reply::replayed(reply::tagged(reply, inventory.version), answer.replayed)
}

pub(crate) async fn adjust(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.command(|input, body| {
        let station_id = input.id("stationId");
        let object = body.object(&["adjustments", "name", "metadata"])?;
        let adjustments =
            object.optional("adjustments", |node| node.list((1, Lines::COUNT_MAX, "lines"), adjustment));
        let name = object.optional("name", text);
        let metadata = object.optional("metadata", metadata);
        let precondition = conditional::precondition(input);
        let adjust = AdjustInventory::new(station_id?, adjustments.unwrap_or_default());
        Some(AdjustInventory { name, metadata, precondition, ..adjust })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let inventory = &answer.outcome;
    let changed = Changed { message: "Inventory updated successfully", inventory };
    let reply = reply::json(StatusCode::OK, &changed);
    reply::replayed(reply::tagged(reply, inventory.version), answer.replayed)
}

fn adjustment(node: Node<'_>) -> Option<Adjustment> {
    let object = node.object(&["itemId", "delta", "reason"])?;
    let item_id = object.required("itemId", text);
    let delta = object.required("delta", delta);
    let reason = object.required("reason", text);
    Some(Adjustment { item_id: item_id?, delta: delta?, reason: reason? })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    inventory: Inventory,
    next_cursor: Option<String>,
}

pub(crate) async fn one(State(app): State<App>, call: Call) -> Reply {
    let (id, query, paging): (StationId, _, _) = call.read(&["limit", "cursor", "itemId"], |input| {
        let mut items: Vec<ItemId> = input.list("itemId", |text| ItemId::try_from(text));
        items.sort();
        let limit = input.limit_within(1..=Inventory::ITEMS_MAX, Inventory::ITEMS_MAX);
        let (id, paging): (_, Option<Paging<ItemCursor>>) = (input.id("stationId"), input.paging());
        let after = paging.as_ref()?.from.clone().map(|ItemCursor(after)| after);
        Some((id?, InventoryQuery { items, after, limit }, paging?))
    })?;
    let page = app.session(&call).inventory(&id, &query).await?.ok_or(Rejection::StationNotFound(id))?;
    let next_cursor = page.next.map(|next| paging.next(&ItemCursor(next)));
    let version = page.inventory.version;
    reply::resource(&call, version, &One { inventory: page.inventory, next_cursor })
}

pub(crate) async fn list(State(app): State<App>, call: Call) -> Reply {
    let (paging, limit): (Paging<StationCursor>, _) = call.read(&["limit", "cursor"], |input| {
        let limit = input.limit();
        Some((input.paging()?, limit))
    })?;
    let session = &app.session(&call);
    page::list(&app, "inventory", (&paging, limit), |from, limit| async move {
        let before = from.map(|StationCursor(before)| before);
        let page = session.inventory_list(&StationQuery::all(before, limit, LISTED_ITEMS_MAX)).await?;
        Ok(page::from_position(page, StationCursor))
    })
    .await
}

pub(crate) async fn ledger(State(app): State<App>, call: Call) -> Reply {
    let (id, item, paging, limit): (StationId, _, _, _) =
        call.read(&["limit", "cursor", "itemId"], |input| {
            let (id, item, limit) = (input.id_before_end("stationId"), input.value("itemId"), input.limit());
            Some((id?, item, input.paging()?, limit))
        })?;
    let (session, id, item) = (&app.session(&call), &id, &item);
    page::list(&app, "entries", (&paging, limit), |from, limit| async move {
        let before = from.map(|LedgerCursor(before)| before);
        let page = session.ledger(id, &LedgerQuery { item: item.clone(), before, limit }).await?;
        let page = page.ok_or_else(|| Rejection::StationNotFound(id.clone()))?;
        Ok(page::from_position(page, LedgerCursor))
    })
    .await
}
