//! What the texts of settings mean.

use super::setting::Value;
use std::net::{SocketAddr, ToSocketAddrs};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use trade_http::{AllowedHosts, CorsOrigins, RateLimit, TrustedProxies};
use trade_network::store::names_no_file;

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

pub(super) fn number(value: &Value, range: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let number = value.text.parse().ok().filter(|number| range.contains(number));
    number
        .ok_or_else(|| value.refused(&format!("must be a number from {} to {}", range.start(), range.end())))
}

pub(super) fn addresses(value: &Value) -> Result<Vec<SocketAddr>, String> {
    let expected = "must be an address and a port, such as 127.0.0.1:8080 or [::1]:0";
    let found = value.text.to_socket_addrs().map_err(|_| value.refused(expected))?;
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(value.refused(expected)) } else { Ok(found) }
}

/// Without access control, a page of another name that resolves to this machine must get nothing.
pub(super) fn allowed_hosts(value: &Value) -> Result<AllowedHosts, String> {
    listed(&value.text).try_fold(AllowedHosts::loopback(), |hosts, name| {
        hosts.and(name).map_err(|invalid| value.refused(&format!("each {invalid}")))
    })
}

pub(super) fn cors_origins(value: &Value) -> Result<CorsOrigins, String> {
    if value.text.trim() == "*" {
        return Ok(CorsOrigins::any());
    }
    CorsOrigins::of(listed(&value.text))
        .map_err(|invalid| value.refused(&format!("each {invalid}; * alone is any")))
}

/// Where nothing is said there is a limit if there is access control.
pub(super) fn rate_limit(value: &Value, has_access_control: bool) -> Result<Option<RateLimit>, String> {
    match value.text.as_str() {
        "" => Ok(has_access_control.then(RateLimit::default)),
        "off" => Ok(None),
        text => text.parse().map(Some).map_err(|invalid| value.refused(&format!("{invalid}; or off"))),
    }
}

pub(super) fn trusted_proxies(value: &Value) -> Result<TrustedProxies, String> {
    listed(&value.text).try_fold(TrustedProxies::none(), |proxies, network| {
        proxies.and(network).map_err(|invalid| value.refused(&format!("each {invalid}")))
    })
}

/// What stands between commas.
pub(super) fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Whether there is such a store is seen when it is opened.
pub(super) fn address(value: Value) -> Result<String, String> {
    if names_no_file(&value.text) {
        return Err(value.refused("names no file; use sqlite://path/to/file.db, or memory:"));
    }
    Ok(value.text)
}

/// A word alone must be a level: as the target that it would be otherwise, it silences all others, and a mistyped level
/// is more likely. White space is taken out, because the filter takes it for a part of the name beside it.
pub(super) fn filter(value: &Value) -> Result<EnvFilter, String> {
    let expected = "must be a log filter, such as info or warn,trade_core=debug; \
                    the levels are off, error, warn, info, debug and trace";
    let directives: Vec<_> = listed(&value.text).collect();
    let is_known =
        |directive: &&str| directive.contains(['=', '[']) || directive.parse::<LevelFilter>().is_ok();
    if directives.is_empty() || !directives.iter().all(is_known) {
        return Err(value.refused(expected));
    }
    EnvFilter::try_new(directives.join(",")).map_err(|_| value.refused(expected))
}

pub(super) fn format_of(value: &Value) -> Result<LogFormat, String> {
    match value.text.as_str() {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(value.refused("must be pretty or json")),
    }
}
