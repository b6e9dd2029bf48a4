//! The network behind an application's own login: a layer of axum says who sends each request.
//!
//! ```text
//! cargo run --example login
//!
//! api=http://127.0.0.1:8081/network/api
//! curl -i $api/trades                                                     # 401: nobody has logged in
//! curl -i -c jar 'http://127.0.0.1:8081/login?user=ada' -X POST           # a session, kept in a cookie
//! curl -b jar -H 'Content-Type: application/json' -d '{"stationId":"ceres"}' $api/inventory
//! curl -b jar $api/updates                                                # "actor":"user:ada"
//! ```

#![allow(clippy::print_stdout)]

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use trade_core::event::Actor;
use trade_core::memory::MemoryStore;
use trade_core::policy::Principal;
use trade_core::service::TradeService;
use trade_http::HttpOptions;

/// Who is logged in, by the token of their session.
type Sessions = Arc<Mutex<HashMap<String, String>>>;

/// Everything the application serves: its login, and the network below a prefix of its choice.
fn application(network: TradeService) -> Router {
    let sessions = Sessions::default();
    let new_token = {
        let network = network.clone();
        move || network.new_id().to_string()
    };
    let login = |State(sessions): State<Sessions>, Query(form): Query<HashMap<String, String>>| async move {
        // A real application asks for a password here, and takes a token that nobody can guess.
        let Some(user) = form.get("user") else { return StatusCode::UNPROCESSABLE_ENTITY.into_response() };
        let token = new_token();
        let cookie = format!("session={token}; HttpOnly; SameSite=Strict; Path=/");
        sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(token, user.clone());
        ([(header::SET_COOKIE, cookie)], StatusCode::NO_CONTENT).into_response()
    };
    let network = trade_http::router(network, HttpOptions::default());
    let network = network.layer(from_fn_with_state(sessions.clone(), require_login));
    Router::new().route("/login", post(login)).with_state(sessions).nest("/network", network)
}

/// Lets nobody through who has not logged in, and tells the network who the others are. Events then name them, and each
/// of them has idempotency keys of their own.
async fn require_login(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    let user = session(request.headers())
        .and_then(|token| sessions.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned());
    let Some(user) = user else { return StatusCode::UNAUTHORIZED.into_response() };
    request.extensions_mut().insert(Principal::new(Actor::User(user.into())));
    next.run(request).await
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = TradeService::start(Arc::new(MemoryStore::new())).await?;
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, application(network)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn only_who_has_logged_in_gets_in_and_events_name_them() -> Result<(), Box<dyn Error>> {
        let network = TradeService::start(Arc::new(MemoryStore::new())).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let root = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, application(network)).await });
        let client = reqwest::Client::new();
        let station =
            || client.post(format!("{root}/network/api/inventory")).json(&json!({"stationId": "ceres"}));
        assert_eq!(station().send().await?.status(), 401);
        assert_eq!(station().header("cookie", "session=guessed").send().await?.status(), 401);
        let login = client.post(format!("{root}/login?user=ada")).send().await?;
        let cookie = login.headers()["set-cookie"].to_str()?.split(';').next().unwrap_or_default().to_owned();
        assert_eq!(station().header("cookie", &cookie).send().await?.status(), 201);
        let updates = client.get(format!("{root}/network/api/updates")).header("cookie", &cookie);
        let updates: Value = updates.send().await?.json().await?;
        assert_eq!(updates["events"][0]["actor"], "user:ada");
        Ok(())
    }
}
