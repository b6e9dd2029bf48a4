use super::InvalidValue;
use std::fmt;

/// 2^53 − 1: the largest number of units, exact in every JSON reader (RFC 8259 §6, IEEE 754 binary64).
pub const UNITS_MAX: u64 = 9_007_199_254_740_991;

/// A number of units to move: 1 … 2^53 − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Quantity(u64);

impl Quantity {
    /// One unit.
    pub const ONE: Self = Self(1);

    /// Checks and wraps a number of units.
    ///
    /// # Errors
    /// [`InvalidValue`] for 0 and beyond [`UNITS_MAX`].
    pub fn new(units: u64) -> Result<Self, InvalidValue> {
        if units == 0 || units > UNITS_MAX {
            return Err(InvalidValue(format!("must be an integer from 1 to {UNITS_MAX}")));
        }
        Ok(Self(units))
    }

    /// The number of units.
    pub fn units(self) -> u64 {
        self.0
    }

    /// The sum, if it is still a quantity.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0 + other.0).ok()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> serde::Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A signed change of stock: ±1 … ±(2^53 − 1), never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Delta(i64);

impl Delta {
    /// Checks and wraps a change.
    ///
    /// # Errors
    /// [`InvalidValue`] for 0 and for a magnitude beyond [`UNITS_MAX`].
    pub fn new(units: i64) -> Result<Self, InvalidValue> {
        if units == 0 || units.unsigned_abs() > UNITS_MAX {
            return Err(InvalidValue(format!("must be a non-zero integer from -{UNITS_MAX} to {UNITS_MAX}")));
        }
        Ok(Self(units))
    }

    /// The signed number of units.
    pub fn units(self) -> i64 {
        self.0
    }

    /// The units moved, whichever way.
    pub fn magnitude(self) -> Quantity {
        Quantity(self.0.unsigned_abs())
    }
}

impl<'de> serde::Deserialize<'de> for Delta {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive() {
        assert!(Quantity::new(0).is_err());
        assert!(Quantity::new(UNITS_MAX).is_ok());
        assert!(Quantity::new(UNITS_MAX + 1).is_err());
        assert!(Delta::new(0).is_err());
        assert!(Delta::new(-9_007_199_254_740_991).is_ok());
        assert!(Delta::new(i64::MIN).is_err());
    }
}
