//! The routes, one module a resource.

mod cargo;
mod health;
mod inventory;
mod trades;
mod updates;

use crate::allow;
use crate::app::App;
use crate::problem::Problem;
use axum::Router;
use axum::routing::{MethodRouter, get, post, put};

/// Every route.
///
/// Ids are read from the ends of the path, so that a trade called `batch` or a shipment called `update` can be reached
/// as well: those few paths carry the methods of both routes that they are.
pub(crate) fn table() -> [(&'static str, MethodRouter<App>); 19] {
    [
        ("/api/trades", post(trades::initiate).get(trades::list)),
        ("/api/trades/batch", post(trades::batch).get(trades::one).patch(trades::update)),
        ("/api/trades/{transactionId}", get(trades::one).patch(trades::update)),
        ("/api/trades/update/{transactionId}", put(trades::update)),
        ("/api/cargo", post(cargo::create).get(cargo::list)),
        ("/api/cargo/{shipmentId}", get(cargo::one).patch(cargo::update)),
        ("/api/cargo/{shipmentId}/history", get(cargo::history)),
        ("/api/cargo/update/{shipmentId}", put(cargo::update)),
        ("/api/cargo/update/history", put(cargo::update).get(cargo::history)),
        ("/api/inventory", post(inventory::create).get(inventory::list)),
        ("/api/inventory/{stationId}", get(inventory::one).patch(inventory::adjust)),
        ("/api/inventory/{stationId}/ledger", get(inventory::ledger)),
        ("/api/inventory/update/{stationId}", put(inventory::adjust)),
        ("/api/inventory/update/ledger", put(inventory::adjust).get(inventory::ledger)),
        ("/api/updates", get(updates::poll)),
        ("/api/updates/real-time", get(updates::stream)),
        ("/health/live", get(health::live)),
        ("/health/ready", get(health::ready)),
        ("/metrics", get(health::metrics)),
    ]
}

/// The routes with and without trailing slash, and what is beside them.
pub(crate) fn all() -> Router<App> {
    let router = table().into_iter().fold(Router::new(), |router, (path, methods)| {
        let methods = allow::told(methods);
        router.route(path, methods.clone()).route(&format!("{path}/"), methods)
    });
    router.fallback(allow::server_or_nothing).method_not_allowed_fallback(unknown_method)
}

/// What is on no route.
pub(crate) async fn unknown_path() -> Problem {
    Problem::new("not-found", "there is nothing at this path")
}

async fn unknown_method() -> Problem {
    Problem::new(
        "method-not-allowed",
        "the resource does not know this method; the Allow header lists those it knows",
    )
}
