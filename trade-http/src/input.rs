//! Reading path, query and headers of a request, beside its body, into one list of faults.

use crate::call::Call;
use crate::cursor::{Cursor, Listing, Paging};
use crate::fields::{Faults, shown};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use trade_core::resource::Sequence;
use trade_core::values::InvalidValue;

/// The most values of a parameter that is a list.
pub(crate) const LIST_VALUES_MAX: usize = 100;
/// The parameter of which a later one replaces an earlier, unless it is empty: a page that resumes adds it to an address
/// that may have one.
const LAST_COUNTS: &str = "lastEventId";

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
}

/// What a handler reads its arguments from.
#[derive(Debug)]
pub(crate) struct Input<'c> {
    pub(crate) call: &'c Call,
    pub(crate) faults: Faults,
    parameters: Vec<(Cow<'c, str>, Cow<'c, str>)>,
}

impl<'c> Input<'c> {
    /// Begins to read a request whose query has these parameters at most, each once.
    pub(crate) fn new(call: &'c Call, known: &[(&str, Place)]) -> Self {
        let faults = Faults::default();
        let mut parameters: Vec<(Cow<'c, str>, Cow<'c, str>)> = Vec::new();
        for pair in call.query().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name), decode(value));
            let name = name.unwrap_or(Cow::Borrowed("query"));
            let Some(value) = value else {
                faults.add::<()>(shown(&name), "is not UTF-8");
                continue;
            };
            if !known.contains(&(name.as_ref(), Place::Query)) {
                faults.add::<()>(shown(&name), "is not a known parameter");
            } else if let Some((_, first)) = parameters.iter_mut().find(|(other, _)| *other == name) {
                if name != LAST_COUNTS {
                    faults.add::<()>(name, "must be given once");
                } else if !value.is_empty() {
                    *first = value;
                }
            } else {
                parameters.push((name, value));
            }
        }
        Self { call, faults, parameters }
    }

    /// The id that stands so many words before the end of the path.
    pub(crate) fn id_from_end<T: for<'t> TryFrom<&'t str, Error = InvalidValue>>(
        &self,
        name: &str,
        index: usize,
    ) -> Option<T> {
        match decode(self.call.segment_from_end(index)) {
            Some(id) => self.faults.check(name, T::try_from(&id)),
            None => self.faults.add(name, "is not UTF-8"),
        }
    }

    /// A parameter of the query that may be absent.
    pub(crate) fn parameter<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, InvalidValue>,
    ) -> Option<T> {
        let (_, value) = self.parameters.iter().find(|(parameter, _)| parameter == name)?;
        self.faults.check(name, read(value))
    }

    /// A parameter that is a list with commas, each value of it once; empty where it is absent.
    pub(crate) fn list<T>(&self, name: &str, read: impl Fn(&str) -> Result<T, InvalidValue>) -> Vec<T> {
        let read_all = |text: &str| {
            let mut values = BTreeSet::new();
            for value in text.split(',') {
                values.insert(value);
                if values.len() > LIST_VALUES_MAX {
                    return Err(InvalidValue(format!("must list at most {LIST_VALUES_MAX} values")));
                }
            }
            values.into_iter().map(&read).collect()
        };
        self.parameter(name, read_all).unwrap_or_default()
    }

    /// A parameter that is an integer of a range.
    pub(crate) fn integer_within(&self, name: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let read = |text: &str| {
            let number = integer(text).and_then(|number| usize::try_from(number).ok());
            number.filter(|number| range.contains(number)).ok_or_else(|| {
                InvalidValue(format!("must be an integer from {} to {}", range.start(), range.end()))
            })
        };
        self.parameter(name, read)
    }

    /// Where the page before ended, and how this one says where it does.
    pub(crate) fn paging<P: Cursor>(&self, name: &str) -> Option<Paging<P>> {
        let narrowed =
            self.parameters.iter().filter(|(other, _)| other.as_ref() != "limit" && other.as_ref() != name);
        let listing =
            Listing::of(&self.call.resource(), narrowed.map(|(name, value)| (name.as_ref(), value.as_ref())));
        let paging = |cursor| {
            Paging::new(listing, cursor).ok_or_else(|| {
                InvalidValue::new("must be the nextCursor of a page of this list, with the same filters")
            })
        };
        match self.parameter(name, |text| Ok(text.to_owned())) {
            None => paging(None).ok(),
            Some(cursor) => self.faults.check(name, paging(Some(&cursor))),
        }
    }
}

/// Undoes percent-encoding; none where the result is not UTF-8. A plus sign stands for itself: no parameter holds spaces,
/// but times hold offsets.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// A non-negative integer in plain digits.
pub(crate) fn integer(text: &str) -> Option<u64> {
    is_digits(text).then(|| text.parse().ok()).flatten()
}

/// A position in the log, in plain digits. One too large for a sequence is beyond the newest in any case.
pub(crate) fn position(text: &str) -> Option<Sequence> {
    // Stores keep sequences with a sign.
    const MAX: Sequence = i64::MAX.unsigned_abs();
    is_digits(text).then(|| text.parse().map_or(MAX, |position: Sequence| position.min(MAX)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_and_bad_utf_8_told() {
        assert_eq!(decode("a%2Fb%c3%A9+%zz%").as_deref(), Some("a/bé+%zz%"));
        assert_eq!(decode("%ff"), None);
    }

    #[test]
    fn an_integer_is_digits_and_nothing_else() {
        assert_eq!(integer("0042"), Some(42));
        for bad in ["", "+1", "-1", "1.0", " 1", "99999999999999999999"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
    }
}
