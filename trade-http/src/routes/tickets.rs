//! `/updates/ticket`: what opens a stream where no header can be sent.

use crate::access::Login;
use crate::access::tickets::TicketText;
use crate::app::App;
use crate::operation::Operation;
use crate::query::Asked;
use crate::reply::{self, Reply};
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use trade_core::values::Timestamp;

/// The operations on tickets.
pub(super) fn operations() -> Vec<Operation> {
    let give = Operation::new("updates", "A ticket for a stream, for browsers", give)
        .at(Method::POST, "/api/updates/ticket", "createTicket")
        .answers::<Ticket>(StatusCode::CREATED, "The ticket: usable once.", &[])
        .refuses(&["invalid-request"]);
    vec![give]
}

/// A ticket for `/updates/real-time?ticket=`. It opens one stream, at the server that has given it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    /// The ticket.
    #[schemars(with = "TicketText")]
    ticket: String,
    /// Until when it can be used.
    expires_at: Timestamp,
}

async fn give(State(app): State<App>, asked: Asked<()>) -> Reply {
    let login = Login { principal: asked.call.principal, lease: asked.call.lease };
    let (ticket, expires_at) = app.tickets.give(login, app.clock.now())?;
    let mut response = reply::json(StatusCode::CREATED, &Ticket { ticket, expires_at })?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
