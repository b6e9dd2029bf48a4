//! What caused a step: for those who follow a request through several systems, and for audits.

use crate::values::{InvalidValue, serde_as_text};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of the request that caused a step. It stands in the step's record, so that it lasts as long as the step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The place of the request in a trace. Its events tell it.
    pub trace_parent: Option<TraceParent>,
    /// What its sender calls the request.
    pub request_id: Option<Arc<str>>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
}

impl Cause {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A place in a trace that may span several systems, as `traceparent` of W3C Trace Context level 1 has it
/// (<https://www.w3.org/TR/trace-context-1/#traceparent-header>): `00-<trace>-<parent>-<flags>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

impl TraceParent {
    const LENGTH: usize = 55;

    /// One of these ids.
    ///
    /// # Errors
    /// [`InvalidValue`] if an id is all zeros.
    pub fn new(trace: [u8; 16], parent: [u8; 8], flags: u8) -> Result<Self, InvalidValue> {
        if trace == [0; 16] || parent == [0; 8] {
            return Err(InvalidValue::new("must not have an id of zeros alone"));
        }
        Ok(Self { trace, parent, flags })
    }

    /// The id of the whole trace.
    pub fn trace(&self) -> [u8; 16] {
        self.trace
    }

    /// The id of the span that the request was sent in.
    pub fn parent(&self) -> [u8; 8] {
        self.parent
    }

    /// The flags; the lowest bit says that the trace is recorded.
    pub fn flags(&self) -> u8 {
        self.flags
    }
}

impl TryFrom<&str> for TraceParent {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        read(text).ok_or_else(|| InvalidValue::new("must be a traceparent of W3C Trace Context"))?
    }
}

/// What a text says. Later versions may have more behind what this one has.
fn read(text: &str) -> Option<Result<TraceParent, InvalidValue>> {
    let (known, more) = text.split_at_checked(TraceParent::LENGTH)?;
    let mut parts = known.split('-');
    let mut next = || parts.next();
    let (version, trace, parent, flags) = (next()?, next()?, next()?, next()?);
    let [version] = bytes(version)?;
    match version {
        0 if !more.is_empty() => return None,
        1..=254 if !more.is_empty() && !more.starts_with('-') => return None,
        255 => return None,
        _ => {}
    }
    let [flags] = bytes(flags)?;
    Some(TraceParent::new(bytes(trace)?, bytes(parent)?, flags))
}

/// The bytes of so many pairs of lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, parent) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.parent));
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", self.flags)
    }
}

serde_as_text!(TraceParent);

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_its_standard_says() {
        let read = |text: &str| TraceParent::try_from(text).map(|read| read.to_string());
        assert_eq!(read(TEXT).as_deref(), Ok(TEXT));
        // A later version is understood as far as this one goes, and passed on as this one.
        assert_eq!(read(&format!("cc{}-what-comes-later", &TEXT[2..])).as_deref(), Ok(TEXT));
        assert_eq!(read(&format!("cc{}", &TEXT[2..])).as_deref(), Ok(TEXT));
        let replaced = |from: &str, to: &str| TEXT.replacen(from, to, 1);
        for wrong in [
            String::new(),
            TEXT[1..].into(),
            format!("{TEXT}-"),
            format!("{TEXT} "),
            format!("cc{}.", &TEXT[2..]),
            replaced("00-", "ff-"),
            replaced("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            replaced("b7ad6b7169203331", &"0".repeat(16)),
            replaced("0af7", "0AF7"),
            replaced("0af7", "+af7"),
            replaced("-b7", "b-7"),
            "ü".repeat(28),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }
}
