//! Which paths of the router ask for a login, and for which one.

use super::authenticator::Login;
use super::refusal::LoginError;
use crate::app::App;
use crate::cors;
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::{Method, header};
use percent_encoding::percent_decode_str;
use trade_core::access::{Right, StationRoles};

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    Nothing,
    /// A login.
    Login,
    /// A login that has this right.
    Right(Right),
}

impl Asks {
    /// What a path asks for, below the place where the router is nested.
    pub(crate) fn of(path: &str) -> Self {
        // What looks like the interface, and is not, is told no more than that.
        let path = percent_decode_str(path).decode_utf8_lossy();
        match path.trim_start_matches('/').split('/').next() {
            Some("api") => Self::Login,
            Some("metrics") => Self::Right(Right::ReadMetrics),
            _ => Self::Nothing,
        }
    }
}

/// The only path that takes a ticket.
pub(crate) const STREAM: &str = "/api/updates/real-time";

/// The ticket of a request, where it has one.
fn ticket(request: &Request) -> Result<Option<String>, LoginError> {
    let uri = request.uri();
    let is_stream = uri.path().strip_suffix('/').unwrap_or(uri.path()) == STREAM;
    if !is_stream || request.method() != Method::GET {
        return Ok(None);
    }
    let parameters = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut tickets = parameters.filter(|(name, _)| percent_decode_str(name).eq("ticket".bytes()));
    match (tickets.next(), tickets.next(), request.headers().contains_key(header::AUTHORIZATION)) {
        (None, ..) => Ok(None),
        (Some((_, ticket)), None, false) => Ok(Some(percent_decode_str(ticket).decode_utf8_lossy().into())),
        _ => Err(LoginError::Ambiguous),
    }
}

/// Whether a request comes from somebody whom this server has known lately: they are not taken for somebody who guesses, though
/// somebody else at their address does.
pub(crate) fn remembers(app: &App, request: &Request) -> bool {
    app.options.access.as_ref().is_some_and(|authenticator| authenticator.remembers(request.headers()))
}

/// Lets a request through, with who sends it, or refuses it.
pub(crate) async fn admit(app: &App, request: &mut Request) -> Result<(), Problem> {
    if let Some(ticket) = ticket(request)? {
        let login = app.tickets.take(&ticket, app.clock.now()).await?;
        login.put_into(request.extensions_mut());
        return Ok(());
    }
    let Some(authenticator) = &app.options.access else { return Ok(()) };
    let asks = Asks::of(request.uri().path());
    // What a browser asks before it sends a credential.
    let is_preflight = request.method() == Method::OPTIONS && cors::concerns(request);
    if asks == Asks::Nothing || is_preflight {
        return Ok(());
    }
    let login: Login = authenticator.login(request.headers()).await?;
    if let Asks::Right(right) = asks
        && !StationRoles::default().may(&login.principal, right)
    {
        return Err(Problem::new("forbidden", "this is for the roles auditor and admin"));
    }
    login.put_into(request.extensions_mut());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_interface_asks_for_a_login_however_it_is_spelled() {
        for path in ["/api", "/api/", "/api/trades", "/api/nowhere", "/%61pi/trades", "//api", "/api//x"] {
            assert_eq!(Asks::of(path), Asks::Login, "{path}");
        }
        for path in ["/metrics", "/metrics/"] {
            assert_eq!(Asks::of(path), Asks::Right(Right::ReadMetrics), "{path}");
        }
        for path in ["/", "*", "/health/live", "/openapi.json", "/asyncapi.json", "/docs/page.js", "/apis"] {
            assert_eq!(Asks::of(path), Asks::Nothing, "{path}");
        }
    }
}
