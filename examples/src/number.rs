//! Whole numbers as other programs write them.

/// Reads a whole number of any spelling: `9`, `9.0`, `+9`, `1E+3`. None where it is no number, not whole, or past the
/// range of the type.
pub fn whole(text: &str) -> Option<i128> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{integer}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // How many zeros stand behind the last significant digit; fewer than none is a fraction.
    let zeros = i64::from(exponent) + i64::try_from(digits.len() - significant.len()).ok()?
        - i64::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
    let size = significant.parse::<i128>().ok()?.checked_mul(power)?;
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_read_in_every_spelling() {
        for (text, number) in [
            ("9", 9),
            ("+9", 9),
            ("-9", -9),
            ("007", 7),
            ("9.", 9),
            ("9.00", 9),
            ("-12.0", -12),
            ("1E+3", 1_000),
            ("1e3", 1_000),
            ("1.5E1", 15),
            ("120E-1", 12),
            ("0", 0),
            ("-0.00", 0),
            ("0E+6144", 0),
            ("9007199254740991.0", 9_007_199_254_740_991),
        ] {
            assert_eq!(whole(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_or_no_number_is_not_rounded() {
        for text in [
            "",
            ".",
            "-",
            "+-9",
            "9.5",
            "9.00000000000000000000000000000000000001",
            "15E-1",
            "1E+6144",
            "1e",
            "1e2147483648",
            "NaN",
            "Infinity",
            "1,000",
            "0x10",
            "9 ",
            "١",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
