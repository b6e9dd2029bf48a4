//! The page that shows the description in a browser. All of it comes from here, nothing from elsewhere.

use crate::allow::told;
use crate::app::App;
use crate::call::Call;
use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::routing::get;

const PAGE: &str = include_str!("../../docs/index.html");
const SCRIPT: &str = include_str!("../../docs/page.js");
const RAPIDOC: &[u8] = include_bytes!("../../docs/rapidoc-min.js.gz");

/// What the page may load: what is beside it. Its component has styles of its own within.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT_TYPE: &str = "text/javascript; charset=utf-8";
const NO_SNIFFING: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/docs", told(get(page)))
        .route("/docs/", told(get(page)))
        .route("/docs/page.js", told(get(script)))
        .route("/docs/rapidoc-min.js", told(get(rapidoc)))
}

/// Its addresses are relative, so that they hold under any prefix.
async fn page(call: Call) -> impl IntoResponse {
    let base = if call.context.path().ends_with('/') { "../" } else { "" };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        NO_SNIFFING,
    ];
    (headers, PAGE.replace("{base}", base))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, SCRIPT_TYPE), NO_SNIFFING], SCRIPT)
}

/// Every browser takes it compressed.
async fn rapidoc() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, SCRIPT_TYPE), (header::CONTENT_ENCODING, "gzip"), NO_SNIFFING];
    (headers, RAPIDOC)
}
