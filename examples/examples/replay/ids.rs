//! Ids out of the words of the file, so that they can be read back from them.

use trade_core::values::{InvalidValue, ItemId, StationId, TransactionId};

/// The wholesaler's own station.
pub(crate) const WAREHOUSE: &str = "warehouse";

/// Writes any text with the characters an id may hold: letters, digits and `_` stand for themselves, `-` for a space,
/// and `:XX` for any other byte. A `.` is never written, so that it can separate what an id is put together from.
pub(crate) fn encode(text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => id.push('-'),
            b'_' => id.push('_'),
            byte if byte.is_ascii_alphanumeric() => id.push(char::from(byte)),
            byte => id.push_str(&format!(":{byte:02X}")),
        }
    }
    id
}

/// The station of a line's customer, or of its country where it names none.
pub(crate) fn party(customer: &str, country: &str) -> Option<Result<StationId, InvalidValue>> {
    // Published as numbers with a missing-value marker, customers became decimals: 17850.0.
    let customer = customer.strip_suffix(".0").unwrap_or(customer);
    match (customer, country) {
        ("", "") => None,
        ("", country) => Some(StationId::new(format!("country-{}", encode(country)))),
        (customer, _) => Some(StationId::new(format!("customer-{}", encode(customer)))),
    }
}

/// The item of a stock code. `84968f` and `84968F` are two, as published.
pub(crate) fn item(code: &str) -> Result<ItemId, InvalidValue> {
    ItemId::new(encode(code))
}

/// The trade of an invoice: the first has the invoice's number, others of the same invoice a number behind it.
pub(crate) fn trade(invoice: &str, nth: u32) -> Result<TransactionId, InvalidValue> {
    match nth {
        1 => TransactionId::new(encode(invoice)),
        nth => TransactionId::new(format!("{}.{nth}", encode(invoice))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(id: &str) -> String {
        let (mut bytes, mut rest) = (Vec::new(), id.bytes());
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'-' => b' ',
                b':' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_word_can_be_read_back_from_its_id() {
        for word in ["85123A", "gift_0001_40", "United Kingdom", "a-b.c:d", "£ 40 %", "15056bl"] {
            assert_eq!(decode(&encode(word)), word);
            assert!(ItemId::new(encode(word)).is_ok(), "{word}");
        }
        assert_eq!(encode("United Kingdom"), "United-Kingdom");
    }

    #[test]
    fn a_line_without_a_customer_belongs_to_its_country() {
        let party = |customer, country| party(customer, country).map(|id| id.unwrap().to_string());
        assert_eq!(party("17850.0", "United Kingdom").as_deref(), Some("customer-17850"));
        assert_eq!(party("17850", "EIRE").as_deref(), Some("customer-17850"));
        assert_eq!(party("", "United Kingdom").as_deref(), Some("country-United-Kingdom"));
        assert_eq!(party("", ""), None);
    }

    #[test]
    fn the_trades_of_one_invoice_have_different_ids() {
        assert_eq!(trade("C536379", 1).unwrap().as_str(), "C536379");
        assert_eq!(trade("536365", 2).unwrap().as_str(), "536365.2");
        assert_ne!(trade("536365.2", 1).unwrap(), trade("536365", 2).unwrap());
    }
}
