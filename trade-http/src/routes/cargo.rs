//! `/cargo`.

use crate::app::App;
use crate::body::{BODY_BYTES_MAX, Received};
use crate::call::Call;
use crate::conditional;
use crate::cursor::{CargoCursor, HistoryCursor, Paging};
use crate::fields::{Node, text};
use crate::lines::{lines, metadata};
use crate::page;
use crate::reply::{self, Reply};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use trade_core::command::{CargoOutcome, CreateTransfer, UpdateCargo};
use trade_core::rejection::Rejection;
use trade_core::resource::{Cargo, Trade};
use trade_core::service::TradeService;
use trade_core::store::{CargoFilter, CargoQuery};
use trade_core::values::{InvalidValue, Scope, ShipmentId};

#[derive(Serialize)]
struct Changed<'a> {
    message: &'static str,
    cargo: &'a Cargo,
    #[serde(skip_serializing_if = "Option::is_none")]
    trade: Option<&'a Trade>,
}

pub(crate) async fn create(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.creation(|body| new_transfer(body, &app.service))?;
    let answer = app.session(&received.call).submit(request).await?;
    let CargoOutcome { created, cargo, .. } = &answer.outcome;
    let status = if *created { StatusCode::CREATED } else { StatusCode::OK };
    let reply = reply::json(status, &Changed { message: "Cargo created successfully", cargo, trade: None });
    let reply = reply::located(reply, &received.call, &cargo.shipment_id);
    reply::replayed(reply::tagged(reply, cargo.version), answer.replayed)
}

fn new_transfer(body: Node<'_>, service: &TradeService) -> Option<CreateTransfer> {
    let object = body.object(&["shipmentId", "origin", "destination", "items", "ETA", "metadata"])?;
    let given = object.optional("shipmentId", |node| Some(text::<ShipmentId>(node)));
    let origin = object.required("origin", text);
    let destination = object.required("destination", text);
    let items = object.required("items", lines);
    let eta = object.optional("ETA", text);
    let metadata = object.optional("metadata", metadata);
    let shipment_id = given.unwrap_or_else(|| ShipmentId::new(service.new_id().to_string()).ok())?;
    let transfer = CreateTransfer::new(shipment_id, origin?, destination?, items?);
    Some(CreateTransfer { eta, metadata, ..transfer })
}

pub(crate) async fn update(State(app): State<App>, received: Received<BODY_BYTES_MAX>) -> Reply {
    let request = received.command(|input, body| {
        let shipment_id = input.id("shipmentId");
        let object = body.object(&["status", "ETA", "location", "metadata"])?;
        let status = object.optional("status", text);
        let eta = object.optional("ETA", text);
        let location = object.optional("location", text);
        let metadata = object.optional("metadata", metadata);
        let precondition = conditional::precondition(input);
        let update = UpdateCargo::new(shipment_id?);
        Some(UpdateCargo { status, eta, location, metadata, precondition, ..update })
    })?;
    let answer = app.session(&received.call).submit(request).await?;
    let CargoOutcome { cargo, trade, .. } = &answer.outcome;
    let changed = Changed { message: "Cargo updated successfully", cargo, trade: trade.as_deref() };
    let reply = reply::json(StatusCode::OK, &changed);
    reply::replayed(reply::tagged(reply, cargo.version), answer.replayed)
}

#[derive(Serialize)]
struct One<'a> {
    cargo: &'a Cargo,
}

pub(crate) async fn one(State(app): State<App>, call: Call) -> Reply {
    let id: ShipmentId = call.read(&[], |input| input.id("shipmentId"))?;
    let cargo = app.session(&call).cargo(&id).await?.ok_or(Rejection::CargoNotFound(id))?;
    reply::resource(&call, cargo.version, &One { cargo: &cargo })
}

pub(crate) async fn list(State(app): State<App>, call: Call) -> Reply {
    let now = app.service.now();
    let known = ["origin", "destination", "status", "late", "since", "until", "limit", "cursor"];
    let (filter, paging, limit) = call.read(&known, |input| {
        let late = input.parameter("late", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(InvalidValue::new("must be true or false")),
        });
        let filter = CargoFilter {
            scope: Scope::All,
            origin: input.value("origin"),
            destination: input.value("destination"),
            status: input.value("status"),
            late_at: late.unwrap_or(false).then_some(now),
            created: super::trades::created(input),
        };
        let limit = input.limit();
        Some((filter, input.paging()?, limit))
    })?;
    let (session, filter) = (&app.session(&call), &filter);
    page::list(&app, "cargo", (&paging, limit), |from, limit| async move {
        let before = from.map(|CargoCursor(before)| before);
        let page = session.cargo_list(&CargoQuery { filter: filter.clone(), before, limit }).await?;
        Ok(page::from_position(page, CargoCursor))
    })
    .await
}

pub(crate) async fn history(State(app): State<App>, call: Call) -> Reply {
    let (id, paging, limit): (ShipmentId, Paging<HistoryCursor>, _) =
        call.read(&["limit", "cursor"], |input| {
            let (id, paging, limit) = (input.id_before_end("shipmentId"), input.paging(), input.limit());
            Some((id?, paging?, limit))
        })?;
    let (session, id) = (&app.session(&call), &id);
    page::list(&app, "events", (&paging, limit), |from, limit| async move {
        let after = from.map_or(0, |HistoryCursor(after)| after);
        let page = session.cargo_history(id, after, limit).await?;
        let page = page.ok_or_else(|| Rejection::CargoNotFound(id.clone()))?;
        Ok(page::from_position(page, HistoryCursor))
    })
    .await
}
