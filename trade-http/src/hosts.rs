//! The hosts that a router answers for (RFC 9110 §7.2, RFC 9112 §3.2).

use crate::problem::Problem;
use axum::http::{HeaderMap, Uri, Version, header};
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hosts that a router answers for, whatever their port.
///
/// A page in a browser can have a name that its owner lets resolve to 127.0.0.1, and so ask a server that listens
/// there and trusts its own machine (DNS rebinding). Such a request names the page's host and not the server's: where
/// nobody logs in, the host must be one of a list.
///
/// With a list, a request that is not addressed as HTTP demands (no `Host`, more than one, a malformed one) is 400
/// `malformed-request`, and one for another host is 421 `misdirected-request`. By default every host is answered for,
/// and nothing is asked: an application of one's own has its own way to know its name.
///
/// ```
/// use trade_http::{AllowedHosts, HttpOptions};
///
/// # fn main() -> Result<(), trade_http::InvalidHost> {
/// let allowed_hosts = AllowedHosts::loopback().and("trade.example.com")?;
/// let options = HttpOptions { allowed_hosts, ..HttpOptions::default() };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Option<Vec<Host>>);

/// What is no name of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidHost;

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be the name or address of a host without a port, such as trade.example.com or [2001:db8::1]")
    }
}

impl Error for InvalidHost {}

impl AllowedHosts {
    /// Every host: nothing is asked.
    pub fn any() -> Self {
        Self(None)
    }

    /// The names of this machine: `localhost`, what ends in `.localhost`, 127.0.0.0/8 and `[::1]`.
    pub fn loopback() -> Self {
        Self(Some(Vec::new()))
    }

    /// The same and another host: a name, an IPv4 address, or an IPv6 address in brackets. It changes nothing where
    /// every host is answered for.
    ///
    /// # Errors
    /// If it is no name of a host, or has a port.
    pub fn and(mut self, host: &str) -> Result<Self, InvalidHost> {
        let host = Host::parse(host).filter(|_| is_plain(host)).ok_or(InvalidHost)?;
        if let Some(hosts) = &mut self.0 {
            hosts.push(host);
        }
        Ok(self)
    }

    /// Whether a request is for one of these hosts. The URI is as the client sent it.
    pub(crate) fn check(&self, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(hosts) = &self.0 else { return Ok(()) };
        let mut lines = headers.get_all(header::HOST).iter();
        let line = lines.next();
        if lines.next().is_some() {
            return Err(malformed("the request has more than one Host header"));
        }
        let may_lack =
            version < Version::HTTP_11 || (version > Version::HTTP_11 && uri.authority().is_some());
        if line.is_none() && !may_lack {
            return Err(malformed("the request has no Host header"));
        }
        let named =
            |text| Host::of_authority(text).ok_or_else(|| malformed("the request names no valid host"));
        let line = line.map(|line| named(line.to_str().unwrap_or_default())).transpose()?;
        // A target that names a host wins over the header; in HTTP/2 it is the only one there must be.
        let target = uri.authority().map(|authority| named(authority.as_str())).transpose()?;
        // HTTP/1.0 knows no hosts. No browser speaks it.
        let Some(host) = target.or(line) else { return Ok(()) };
        if host.is_loopback() || hosts.contains(&host) { Ok(()) } else { Err(misdirected(&host)) }
    }
}

/// Whether a setting names a host, with a port or without.
pub(crate) fn is_authority(text: &str) -> bool {
    is_plain(text) && Host::of_authority(text).is_some()
}

/// Of what else a name may hold by its grammar, a star or a comma in a setting is more likely meant to mean something.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte))
}

fn malformed(detail: &'static str) -> Problem {
    Problem::new("malformed-request", detail)
}

fn misdirected(host: &Host) -> Problem {
    let detail = format!(
        "this server does not answer for the host {host}; whoever runs it can allow that (--allowed-host of \
         trade-network)"
    );
    Problem::new("misdirected-request", detail)
}

/// A host (RFC 3986 §3.2.2), in the one form of its spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// In small letters, without the dot that may end it: with it, the same name is written in full.
    Name(String),
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let address: Ipv6Addr = bracketed.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
        (!name.is_empty() && name.bytes().all(valid)).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// The host of an authority, which may have a port.
    fn of_authority(text: &str) -> Option<Self> {
        // The colons of an IPv6 address stand before its bracket.
        let from = text.find(']').unwrap_or(0);
        let Some(colon) = text[from..].find(':') else { return Self::parse(text) };
        let (host, port) = text.split_at(from + colon);
        port[1..].bytes().all(|byte| byte.is_ascii_digit()).then(|| Self::parse(host)).flatten()
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            // Nobody can own a name of this kind (RFC 6761 §6.3).
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_maybe_a_port() {
        let host = |text: &str| Host::of_authority(text).map(|host| host.to_string());
        for (text, expected) in [
            ("localhost", "localhost"),
            ("LocalHost.:8080", "localhost"),
            ("127.0.0.1:", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8:0::1]", "[2001:db8::1]"),
            ("a_b.example", "a_b.example"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            ".",
            ":80",
            "localhost:80:80",
            "localhost:x",
            "localhost:-1",
            "[::1",
            "::1",
            "[::1]x",
            "[::1].",
            "[]",
            "[127.0.0.1]",
            "a@localhost",
            "local host",
            "localhost/",
            "localhost?",
            "localhost#",
            "localhost\\",
            "é",
            "evil.com]:80",
            "[::1]]",
            "x[::1]",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_is_called() {
        let is = |text: &str| Host::of_authority(text).unwrap().is_loopback();
        for text in [
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "a.b.localhost",
            "127.0.0.1",
            "127.255.0.9:80",
            "127.0.0.1.",
            "[::1]",
            "[0:0:0:0:0:0:0:1]:80",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "evil-localhost",
            "evillocalhost",
            "localhost..",
            "localhost.evil",
            "127.0.0.1.nip.io",
            "128.0.0.1",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.01",
            "[::]",
            "[::2]",
            "[::ffff:10.0.0.1]",
            "local%68ost",
        ] {
            assert!(!is(text), "{text}");
        }
    }

    #[test]
    fn a_host_is_allowed_by_its_name_alone() {
        for bad in ["", "a:80", "http://a", "a/b", "a b", "*", "*.example.com", ".", "[::1", "a,b"] {
            assert_eq!(AllowedHosts::loopback().and(bad).unwrap_err(), InvalidHost, "{bad}");
        }
    }
}
