//! Where a request comes from: its peer, or, where that is a proxy that is trusted, who asked the proxy.

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are believed when they say where a request comes from: none by default.
///
/// A proxy adds the address that it was asked from to a header of the request. Whoever asks can send that header as well, so
/// it is read from its end, and only as far as the addresses are those of proxies that are named here. It must be the one
/// header that the proxies write: `X-Forwarded-For`, or `Forwarded` (RFC 7239) by [`Self::by_forwarded`].
///
/// ```
/// use trade_http::{HttpOptions, TrustedProxies};
///
/// # fn main() -> Result<(), trade_http::InvalidNetwork> {
/// let trusted_proxies = TrustedProxies::none().and("10.0.0.0/8")?.and("2001:db8::7")?;
/// let options = HttpOptions { trusted_proxies, ..HttpOptions::default() };
/// # drop(options);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    reads_forwarded: bool,
}

/// What is no address and no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be an address or a network, such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32")
    }
}

impl Error for InvalidNetwork {}

/// Where a request comes from; none where its connection does not tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl TrustedProxies {
    /// Nobody is believed: a request comes from its peer.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same and another one: an address, or a network of them.
    ///
    /// # Errors
    /// If it is neither.
    pub fn and(mut self, network: &str) -> Result<Self, InvalidNetwork> {
        let address = network.parse::<IpAddr>().ok().map(IpNet::from);
        self.networks.push(address.or_else(|| network.parse().ok()).ok_or(InvalidNetwork)?);
        Ok(self)
    }

    /// The same where the proxies write the header `Forwarded`.
    #[must_use]
    pub fn by_forwarded(mut self) -> Self {
        self.reads_forwarded = true;
        self
    }

    /// Where a request comes from.
    pub(crate) fn client(&self, request: &Request) -> ClientAddress {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        ClientAddress(peer.map(|ConnectInfo(peer)| self.address(peer.ip(), request.headers())))
    }

    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut address = peer.to_canonical();
        let name = if self.reads_forwarded { header::FORWARDED } else { X_FORWARDED_FOR };
        let lines = headers.get_all(name).iter().rev();
        // A line that is no text says nothing, and nothing before it is believed.
        let hops = lines.flat_map(|line| hops(line.to_str().unwrap_or_default()).into_iter().rev());
        for hop in hops {
            if !self.networks.iter().any(|network| network.contains(&address)) {
                break;
            }
            let node = if self.reads_forwarded { node(hop) } else { Some(hop) };
            let Some(before) = node.and_then(of_node) else { break };
            address = before;
        }
        address
    }
}

/// The elements of a list, apart from commas in quotes; one at least.
fn hops(line: &str) -> Vec<&str> {
    let mut is_quoted = false;
    line.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
    .collect()
}

/// Who asked, of an element of `Forwarded`.
fn node(element: &str) -> Option<&str> {
    let mut parts = element.split(';').filter_map(|part| part.split_once('='));
    let (_, value) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// An address, with a port or without. An IPv6 address with one is in brackets, and may be without.
fn of_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn came_from(proxies: &TrustedProxies, peer: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        proxies.client(&request).0.unwrap().to_string()
    }

    #[test]
    fn only_proxies_that_are_trusted_are_believed_and_no_further_than_they_go() {
        let proxies = TrustedProxies::none().and("10.0.0.0/8").unwrap().and("2001:db8::7").unwrap();
        let x = |peer: &str, value: &str| came_from(&proxies, peer, &[("x-forwarded-for", value)]);
        assert_eq!(x("192.0.2.1", "198.51.100.9"), "192.0.2.1");
        assert_eq!(x("10.0.0.1", "198.51.100.9"), "198.51.100.9");
        assert_eq!(x("::ffff:10.0.0.1", "198.51.100.9"), "198.51.100.9");
        assert_eq!(x("2001:db8::7", "2001:db8::8"), "2001:db8::8");
        // What its sender claims stands before what the proxies add.
        assert_eq!(x("10.0.0.1", "203.0.113.5, 198.51.100.9, 10.3.3.3"), "198.51.100.9");
        assert_eq!(x("10.0.0.1", "203.0.113.5, 198.51.100.9:4711"), "198.51.100.9");
        assert_eq!(x("10.0.0.1", "[2001:db8:1::1]:4711"), "2001:db8:1::1");
        assert_eq!(x("10.0.0.1", "203.0.113.5, nonsense, 10.3.3.3"), "10.3.3.3");
        for nothing in ["", ",", "unknown", "203.0.113.5,", "_hidden"] {
            assert_eq!(x("10.0.0.1", nothing), "10.0.0.1", "{nothing}");
        }
        let two_lines = [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "198.51.100.9")];
        assert_eq!(came_from(&proxies, "10.0.0.1", &two_lines), "198.51.100.9");
        // Of a header that the proxies do not write, everything is the sender's.
        assert_eq!(came_from(&proxies, "10.0.0.1", &[("forwarded", "for=203.0.113.5")]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_where_proxies_write_it() {
        let proxies = TrustedProxies::none().and("10.0.0.1").unwrap().by_forwarded();
        let forwarded = |value: &str| came_from(&proxies, "10.0.0.1", &[("forwarded", value)]);
        assert_eq!(forwarded("for=198.51.100.9"), "198.51.100.9");
        assert_eq!(
            forwarded(r#"for=203.0.113.5, proto=https;For="[2001:db8:1::1]:80";by="a,b""#),
            "2001:db8:1::1"
        );
        assert_eq!(forwarded(r#"for="198.51.100.9:80""#), "198.51.100.9");
        for nothing in ["for=unknown", "for=_x", "proto=https", "for", r#"for="198.51.100.9"#] {
            assert_eq!(forwarded(nothing), "10.0.0.1", "{nothing}");
        }
        assert_eq!(came_from(&proxies, "10.0.0.1", &[("x-forwarded-for", "203.0.113.5")]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_told() {
        for wrong in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/8,10.1.0.0/16", "*"] {
            assert_eq!(TrustedProxies::none().and(wrong), Err(InvalidNetwork), "{wrong}");
        }
    }
}
