//! Exact money: decimal amounts that keep the scale they came with.

use super::{InvalidValue, Quantity, serde_as_text};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt};

/// A decimal number ≥ 0: a price of at most 12 integer and 6 fraction digits, or a sum of such.
///
/// It keeps its scale: `2.50` is written back as `2.50`. So `==` tells `2.50` from `2.5`; whether two requests mean the same
/// is told by what they are worth.
#[derive(Debug, Clone, Copy)]
pub struct Amount(Decimal);

impl Amount {
    /// The most integer digits of a price.
    pub const INTEGER_DIGITS_MAX: usize = 12;
    /// The most integer digits of a sum.
    pub const TOTAL_INTEGER_DIGITS_MAX: usize = 22;
    /// The most fraction digits.
    pub const FRACTION_DIGITS_MAX: usize = 6;

    /// The digits without the decimal point.
    pub fn mantissa(self) -> i128 {
        self.0.mantissa()
    }

    /// The number of fraction digits, 0 … 6.
    pub fn scale(self) -> u32 {
        self.0.scale()
    }

    /// The amount `mantissa / 10^scale`, as a store keeps it.
    ///
    /// # Errors
    /// [`InvalidValue`] for a negative mantissa, one of more than 28 digits, or a scale beyond 6.
    pub fn from_parts(mantissa: i128, scale: u32) -> Result<Self, InvalidValue> {
        let digits_fit = (0..10_i128.pow(28)).contains(&mantissa);
        if !digits_fit || scale as usize > Self::FRACTION_DIGITS_MAX {
            return Err(InvalidValue::new("must be an amount of at most 22 integer and 6 fraction digits"));
        }
        Ok(Self(Decimal::from_i128_with_scale(mantissa, scale)))
    }

    fn parse(text: &str, integer_digits_max: usize) -> Option<Self> {
        let (integer, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, digits_max: usize| {
            (1..=digits_max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        let well_formed = digits(integer, integer_digits_max) && digits(fraction, Self::FRACTION_DIGITS_MAX);
        well_formed.then(|| Decimal::from_str_exact(text).ok()).flatten().map(Self)
    }
}

/// Reads a price: at most 12 integer and 6 fraction digits.
impl TryFrom<&str> for Amount {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        Self::parse(text, Self::INTEGER_DIGITS_MAX).ok_or_else(|| {
            InvalidValue::new(
                "must be a decimal string of at most 12 integer and 6 fraction digits, such as \"12.50\"",
            )
        })
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads what was written, totals included: at most 22 integer and 6 fraction digits. A price that comes in is read by
/// `TryFrom`.
impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let amount = Self::parse(&text, Self::TOTAL_INTEGER_DIGITS_MAX);
        amount.ok_or_else(|| {
            D::Error::custom("must be a decimal string of at most 22 integer and 6 fraction digits")
        })
    }
}

/// By number and scale, not by number alone: what differs in writing is not the same price.
impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0).then(self.scale().cmp(&other.scale()))
    }
}

impl std::hash::Hash for Amount {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.mantissa(), self.scale()).hash(state);
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A currency code: 3–8 capital letters, as in ISO 4217 and beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    letters: [u8; 8],
    length: u8,
}

impl Currency {
    /// The fewest letters.
    pub const LENGTH_MIN: usize = 3;
    /// The most letters.
    pub const LENGTH_MAX: usize = 8;

    /// The code as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII capitals are ever stored.
        std::str::from_utf8(&self.letters[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl TryFrom<&str> for Currency {
    type Error = InvalidValue;
    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        let length = text.len();
        if !(Self::LENGTH_MIN..=Self::LENGTH_MAX).contains(&length)
            || !text.bytes().all(|b| b.is_ascii_uppercase())
        {
            return Err(InvalidValue::new("must be 3 to 8 capital letters"));
        }
        let mut letters = [0; 8];
        letters[..length].copy_from_slice(text.as_bytes());
        Ok(Self { letters, length: u8::try_from(length).unwrap_or(8) })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

serde_as_text!(Currency);

/// An amount of one currency.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// How much, as a decimal string.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

/// What money is worth, however it is written: `2.5` and `2.50` of one currency are equal here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Worth(Currency, Decimal);

impl Money {
    /// So much of a currency.
    pub fn new(amount: Amount, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// A price from text.
    ///
    /// ```
    /// # use trade_core::values::Money;
    /// let price = Money::parse("12.50", "GBP")?;
    /// assert_eq!(price.amount.to_string(), "12.50");
    /// # Ok::<(), trade_core::values::InvalidValue>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidValue`] if one of them is of another form.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, InvalidValue> {
        Ok(Self::new(amount.try_into()?, currency.try_into()?))
    }

    pub(crate) fn worth(&self) -> Worth {
        Worth(self.currency, self.amount.0)
    }
}

/// A total of more than 22 integer digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the total in {0} has more than 22 integer digits")]
pub struct TotalOutOfRange(pub Currency);

/// Adds up quantity × unit price, exactly, one sum per currency.
///
/// The decimal type ends at 28 digits, and would round a product beyond; a product here has up to 34 (16 of a
/// quantity, 18 of a price). So the sum is kept as an integer at six fraction digits, where 5 000 lines of the
/// largest product (4.5 × 10^37) still fit, and becomes a decimal once it is known to fit one.
#[derive(Debug, Clone, Default)]
pub struct MoneySum {
    /// Ascending by currency: the sum, and the largest scale.
    by_currency: Vec<(Currency, i128, u32)>,
}

/// 10^0 … 10^28: what a total can be scaled by, and the bounds of its digits.
const POWERS_OF_TEN: [i128; 29] = {
    let mut powers = [1; 29];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

fn power_of_ten(exponent: u32) -> i128 {
    POWERS_OF_TEN[exponent as usize]
}

impl MoneySum {
    const SCALE_MAX: u32 = 6;
    const TOTAL_INTEGER_DIGITS_MAX: u32 = 22;

    /// Adds `quantity` × `price`.
    pub fn add(&mut self, quantity: Quantity, price: &Money) {
        let found = self.by_currency.binary_search_by_key(&price.currency, |(currency, ..)| *currency);
        let place = found.unwrap_or_else(|place| {
            self.by_currency.insert(place, (price.currency, 0, 0));
            place
        });
        let (_, sum, scale) = &mut self.by_currency[place];
        let aligned = price.amount.mantissa() * power_of_ten(Self::SCALE_MAX - price.amount.scale());
        *sum = sum.saturating_add(aligned.saturating_mul(i128::from(quantity.units())));
        *scale = (*scale).max(price.amount.scale());
    }

    /// One total per currency, by currency code, at the largest scale of its lines.
    ///
    /// # Errors
    /// [`TotalOutOfRange`] if a total has more than 22 integer digits.
    pub fn totals(&self) -> Result<Vec<Money>, TotalOutOfRange> {
        let total = |(currency, sum, scale): &(Currency, i128, u32)| {
            let divisor = power_of_ten(Self::SCALE_MAX - scale);
            // Most sums fit 64 bits, where a division takes a tenth of the time.
            let mantissa = match (u64::try_from(*sum), u64::try_from(divisor)) {
                (Ok(sum), Ok(divisor)) => i128::from(sum / divisor),
                _ => sum / divisor,
            };
            if mantissa >= power_of_ten(Self::TOTAL_INTEGER_DIGITS_MAX + scale) {
                return Err(TotalOutOfRange(*currency));
            }
            let amount = Amount::from_parts(mantissa, *scale).map_err(|_| TotalOutOfRange(*currency))?;
            Ok(Money::new(amount, *currency))
        };
        self.by_currency.iter().map(total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: &str, currency: &str) -> Money {
        Money::parse(amount, currency).unwrap()
    }

    #[test]
    fn an_amount_keeps_its_scale() {
        for text in ["0", "0.00", "12.50", "999999999999.999999", "0.000001"] {
            assert_eq!(Amount::try_from(text).unwrap().to_string(), text);
        }
        assert_ne!(Amount::try_from("2.5").unwrap(), Amount::try_from("2.50").unwrap());
    }

    #[test]
    fn a_total_that_was_written_is_read_again() {
        let mut sum = MoneySum::default();
        sum.add(Quantity::new(9_999_999_999).unwrap(), &money("999999999999.99", "GBP"));
        let totals = sum.totals().unwrap();
        assert!(
            Amount::try_from(totals[0].amount.to_string().as_str()).is_err(),
            "past the range of a price"
        );
        let json = serde_json::to_string(&totals).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Money>>(&json).unwrap(), totals);
    }

    #[test]
    fn another_form_is_refused() {
        for bad in
            ["", ".5", "5.", "-1", "+1", "1e3", "1,5", " 1", "1234567890123", "0.1234567", "NaN", "1_0"]
        {
            assert!(Amount::try_from(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "GB", "gbp", "ABCDEFGHI", "G1P"] {
            assert!(Currency::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn totals_are_exact_at_the_largest_scale() {
        let mut sum = MoneySum::default();
        sum.add(Quantity::new(3).unwrap(), &money("0.1", "GBP"));
        sum.add(Quantity::new(1).unwrap(), &money("0.025", "GBP"));
        sum.add(Quantity::new(2).unwrap(), &money("7", "EUR"));
        assert_eq!(sum.totals().unwrap(), [money("14", "EUR"), money("0.325", "GBP")]);
        assert!(MoneySum::default().totals().unwrap().is_empty());
    }

    #[test]
    fn a_total_past_22_integer_digits_is_refused() {
        let mut sum = MoneySum::default();
        sum.add(Quantity::new(1_000_000_000_000).unwrap(), &money("9999999999.999999", "GBP"));
        assert_eq!(sum.totals().unwrap()[0].amount.to_string(), "9999999999999999000000.000000");
        sum.add(Quantity::new(1_000_000_000_000).unwrap(), &money("0.000001", "GBP"));
        assert_eq!(sum.totals(), Err(TotalOutOfRange("GBP".try_into().unwrap())));
    }
}
