//! Decimals: an amount with its scale, a total without one.
//!
//! A Decimal128 is a coefficient and an exponent, so that 12.50 stays apart from 12.5. It is written and read by its
//! bits (IEEE 754, binary integer decimal), which is exact and needs no text:
//! <https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md>

use super::{Decoded, Fields, Unreadable, damaged};
use mongodb::bson::{Decimal128, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use trade_core::values::{Amount, Currency, Money};

/// What is added to an exponent where it is stored.
const BIAS: u32 = 6176;
/// Bits of the coefficient, below those of the exponent and the sign.
const COEFFICIENT_BITS: u32 = 113;
/// 34 digits.
const COEFFICIENT_MAX: u128 = 10_u128.pow(34) - 1;

/// `coefficient / 10^scale`, of at most 34 digits.
pub(crate) fn decimal(coefficient: u128, scale: u32) -> Option<Decimal128> {
    let exponent = BIAS.checked_sub(scale).filter(|_| coefficient <= COEFFICIENT_MAX)?;
    Some(Decimal128::from_bytes((u128::from(exponent) << COEFFICIENT_BITS | coefficient).to_le_bytes()))
}

/// Coefficient and scale of a decimal that is neither negative nor a multiple of a power of ten.
pub(crate) fn parts(field: &'static str, decimal: Decimal128) -> Decoded<(u128, u32)> {
    let bits = u128::from_le_bytes(decimal.bytes());
    let exponent = u32::try_from(bits >> COEFFICIENT_BITS).unwrap_or(u32::MAX);
    let coefficient = bits & ((1 << COEFFICIENT_BITS) - 1);
    // A sign, an infinity, or no number: each sets one of the bits above every exponent in use.
    match BIAS.checked_sub(exponent) {
        Some(scale) if coefficient <= COEFFICIENT_MAX => Ok((coefficient, scale)),
        _ => Err(Unreadable::damaged(format!("{field} is no plain decimal"))),
    }
}

fn document(money: &Money) -> RawDocumentBuf {
    // No amount has more than 28 digits.
    let coefficient = money.amount.mantissa().unsigned_abs();
    let amount = decimal(coefficient, money.amount.scale()).unwrap_or(Decimal128::from_bytes([0; 16]));
    rawdoc! { "amount": amount, "currency": money.currency.as_str() }
}

/// An amount of a currency.
pub(crate) fn write(money: &Money) -> RawDocumentBuf {
    document(money)
}

/// Several of them.
pub(crate) fn write_all(money: &[Money]) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    money.iter().for_each(|money| list.push(document(money)));
    list
}

/// What [`write()`] wrote.
pub(crate) fn read(document: &RawDocument) -> Decoded<Money> {
    let (coefficient, scale) = read_decimal(document, "amount")?;
    let mantissa = i128::try_from(coefficient).map_err(damaged("amount"))?;
    let amount = Amount::from_parts(mantissa, scale).map_err(damaged("amount"))?;
    Ok(Money { amount, currency: document.text::<Currency>("currency")? })
}

/// Coefficient and scale of a field.
pub(crate) fn read_decimal(document: &RawDocument, field: &'static str) -> Decoded<(u128, u32)> {
    match document.field(field)? {
        RawBsonRef::Decimal128(decimal) => parts(field, decimal),
        _ => Err(Unreadable::damaged(format!("{field} is no decimal"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_the_one_that_the_driver_writes() {
        for (coefficient, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (1250, 2, "12.50"),
            (125, 1, "12.5"),
            (999_999_999_999_999_999, 6, "999999999999.999999"),
            (COEFFICIENT_MAX, 0, "9999999999999999999999999999999999"),
        ] {
            let written = decimal(coefficient, scale).unwrap();
            assert_eq!(written, text.parse().unwrap(), "{text}");
            assert_eq!(parts("amount", written), Ok((coefficient, scale)));
        }
        assert_eq!(decimal(COEFFICIENT_MAX + 1, 0), None);
    }

    #[test]
    fn what_is_no_plain_decimal_is_damage() {
        for text in ["-1", "NaN", "Infinity", "-Infinity", "1E+3", "-0"] {
            assert!(parts("amount", text.parse().unwrap()).is_err(), "{text}");
        }
    }
}
