//! The values that several bodies share: lines, prices, quantities.

use crate::fields::{Node, text};
use crate::json::Json;
use trade_core::resource::{Line, Lines, LinesError};
use trade_core::values::{Delta, InvalidValue, ItemId, Metadata, Money, Quantity, UNITS_MAX};

/// 1 … 2^53 − 1.
pub(crate) fn quantity(node: Node<'_>) -> Option<Quantity> {
    node.integer(|units| Quantity::new(u64::try_from(units).unwrap_or(0)))
}

/// ±1 … ±(2^53 − 1).
pub(crate) fn delta(node: Node<'_>) -> Option<Delta> {
    node.integer(Delta::new)
}

/// Names and texts that an application keeps.
pub(crate) fn metadata(node: Node<'_>) -> Option<Metadata> {
    let read = |name: &str, node: Node<'_>| {
        let faults = node.faults.count();
        let text = node.string().unwrap_or_default();
        for checked in [Metadata::check_name(name), Metadata::check_text(text)] {
            if let Err(InvalidValue(detail)) = checked {
                node.fault::<()>(detail);
            }
        }
        (node.faults.count() == faults).then(|| (name.to_owned(), text.to_owned()))
    };
    match Metadata::new(node.members(Metadata::MEMBERS_MAX, read)?) {
        Ok(metadata) => Some(metadata),
        Err(InvalidValue(detail)) => node.fault(detail),
    }
}

fn money(node: Node<'_>) -> Option<Money> {
    let object = node.object(&["amount", "currency"])?;
    let amount = object.required("amount", text);
    let currency = object.required("currency", text);
    Some(Money { amount: amount?, currency: currency? })
}

fn line(node: Node<'_>) -> Option<Line> {
    if let Json::Text(_) = node.json {
        return Some(Line { item_id: text(node)?, quantity: Quantity::ONE, unit_price: None });
    }
    let object = node.object(&["itemId", "quantity", "unitPrice"])?;
    let item_id = object.required("itemId", text);
    let quantity = object.required("quantity", quantity);
    let unit_price = object.optional("unitPrice", money);
    Some(Line { item_id: item_id?, quantity: quantity?, unit_price })
}

/// The lines of a trade or a transfer.
pub(crate) fn lines(node: Node<'_>) -> Option<Lines> {
    match Lines::new(node.list((1, Lines::COUNT_MAX, "lines"), line)?) {
        Ok(lines) => Some(lines),
        Err(LinesError::Count) => node.fault(LinesError::Count.to_string()),
        Err(LinesError::QuantityOutOfRange(item_id)) => {
            // Not a matter of form: the rules refuse it, as the answer of this one trade of a batch. Two lines of the
            // largest quantity say the same as those that were given.
            let most = Quantity::new(UNITS_MAX).ok()?;
            let line = Line { item_id, quantity: most, unit_price: None };
            Some(Lines::from_stored(vec![line.clone(), line]))
        }
    }
}

/// The lines of a new station.
pub(crate) fn opening_lines(node: Node<'_>) -> Option<Vec<(ItemId, Quantity)>> {
    node.list((0, Lines::COUNT_MAX, "lines"), |node| {
        if let Json::Text(_) = node.json {
            return Some((text(node)?, Quantity::ONE));
        }
        let object = node.object(&["itemId", "quantity"])?;
        let item_id = object.required("itemId", text);
        let quantity = object.required("quantity", quantity);
        Some((item_id?, quantity?))
    })
}
