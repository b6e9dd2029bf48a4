//! The routes, one module a resource.

mod cargo;
#[cfg(feature = "openapi")]
mod description;
#[cfg(feature = "docs")]
mod docs;
mod health;
mod inventory;
mod trades;
pub(crate) mod updates;

use crate::allow;
use crate::app::App;
use crate::operation::Operation;
use crate::problem::Problem;
use axum::Router;
use axum::routing::MethodRouter;
use std::collections::BTreeMap;

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    let tables = [
        trades::operations(),
        cargo::operations(),
        inventory::operations(),
        updates::operations(),
        health::operations(),
        #[cfg(feature = "openapi")]
        description::operations(),
    ];
    tables.into_iter().flatten().collect()
}

/// Every route.
///
/// Ids are read from the ends of the path, so that a trade called `batch` or a shipment called `update` can be reached
/// as well: those few paths carry the methods of both routes that they are.
pub(crate) fn table() -> BTreeMap<&'static str, MethodRouter<App>> {
    let mut routes: BTreeMap<&str, MethodRouter<App>> = BTreeMap::new();
    for operation in operations() {
        for (path, method) in operation.routes() {
            let route = routes.remove(path).unwrap_or_default();
            routes.insert(path, route.merge(method));
        }
    }
    routes
}

/// The routes with and without trailing slash, and what is beside them.
pub(crate) fn all() -> Router<App> {
    let router = Router::new();
    #[cfg(feature = "docs")]
    let router = router.merge(docs::routes());
    let router = table().into_iter().fold(router, |router, (path, methods)| {
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
