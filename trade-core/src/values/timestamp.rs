use super::{InvalidValue, serde_as_text};
use std::{fmt, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment in UTC, in whole milliseconds since 1970-01-01, from year 0 to year 9999.
///
/// Read from RFC 3339 with any offset, finer digits cut off; written as `2026-11-22T10:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const EPOCH: Self = Self(0);
    /// 0000-01-01T00:00:00.000Z, the first moment RFC 3339 can write.
    const MILLIS_MIN: i64 = -62_167_219_200_000;
    /// 9999-12-31T23:59:59.999Z, the last.
    const MILLIS_MAX: i64 = 253_402_300_799_999;

    /// The moment a number of milliseconds after the epoch.
    ///
    /// # Errors
    /// [`InvalidValue`] outside years 0 to 9999.
    pub fn from_millis(millis: i64) -> Result<Self, InvalidValue> {
        if !(Self::MILLIS_MIN..=Self::MILLIS_MAX).contains(&millis) {
            return Err(InvalidValue::new("must be a time from year 0 to year 9999"));
        }
        Ok(Self(millis))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The moment a duration later, at most the end of year 9999.
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MILLIS_MAX))
    }

    /// The moment a duration earlier, at least the start of year 0.
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(Self::MILLIS_MIN))
    }
}

impl TryFrom<&str> for Timestamp {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| InvalidValue::new("must be an RFC 3339 time such as 2026-11-22T10:00:00.000Z"))?;
        let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In range by construction, so the fallback is never written.
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second, milli) = at.time().as_hms_milli();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_normalised_to_utc_milliseconds() {
        for (read, written) in [
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z"),
            ("2026-11-22T10:00:00.1239+02:00", "2026-11-22T08:00:00.123Z"),
            ("2026-11-22t10:00:00.5-00:30", "2026-11-22T10:30:00.500Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::try_from(read).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for bad in ["", "2026-11-22", "2026-11-22T10:00:00", "2026-13-01T00:00:00Z", "now", "1795000000"] {
            assert!(Timestamp::try_from(bad).is_err(), "{bad}");
        }
    }
}
