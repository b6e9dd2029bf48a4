//! The `items` of a document: plain values, each one unit, or objects that say how many.

use super::finding::{Odd, Oddity, Refusal, Refused};
use mongodb::bson::{Bson, Document};
use std::collections::BTreeMap;
use trade_core::resource::{Line, Lines};
use trade_core::values::{ItemId, Money, Quantity};
use trade_network::number;

/// The most characters of a source's value that a line of the report shows.
const SHOWN_MAX: usize = 80;

/// A value of the source on one line.
pub(crate) fn shown(value: &Bson) -> String {
    let text = match value {
        Bson::String(text) => format!("{text:?}"),
        other => format!("{other}"),
    };
    let short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// What the items of a trade or shipment list.
pub(crate) fn lines(field: Option<&Bson>, odd: &mut Vec<Oddity>) -> Result<Lines, Refusal> {
    let refused = |detail: String| Refusal::new(Refused::BadItems, detail);
    let mut lines = Vec::new();
    for (place, value) in list(field).map_err(refused)?.iter().enumerate() {
        lines.push(line(value, place, odd).map_err(|detail| refused(format!("items[{place}]: {detail}")))?);
    }
    note_repeated(&lines, odd);
    Lines::new(lines).map_err(|error| refused(format!("items {error}")))
}

/// What a station holds, units by item. An item that cannot be taken over does not keep the station from it.
pub(crate) fn stock(
    field: Option<&Bson>,
    odd: &mut Vec<Oddity>,
) -> Result<BTreeMap<ItemId, Quantity>, Refusal> {
    let mut stock: BTreeMap<ItemId, Quantity> = BTreeMap::new();
    let mut lines = Vec::new();
    let values = list(field).map_err(|detail| Refusal::new(Refused::BadItems, detail))?;
    for (place, value) in values.iter().enumerate() {
        match line(value, place, odd) {
            Err(detail) => odd.push(Oddity::new(Odd::ItemLeft, format!("items[{place}]: {detail}"))),
            Ok(line) => {
                let known = stock.get(&line.item_id).copied();
                match known.map_or(Some(line.quantity), |known| known.checked_add(line.quantity)) {
                    Some(sum) => {
                        stock.insert(line.item_id.clone(), sum);
                        lines.push(line);
                    }
                    None => {
                        let detail =
                            format!("items[{place}]: with it there are too many units of {}", line.item_id);
                        odd.push(Oddity::new(Odd::ItemLeft, detail));
                    }
                }
            }
        }
    }
    note_repeated(&lines, odd);
    Ok(stock)
}

fn list(field: Option<&Bson>) -> Result<&[Bson], String> {
    match field {
        None | Some(Bson::Null | Bson::Undefined) => Ok(&[]),
        Some(Bson::Array(values)) => Ok(values),
        Some(other) => Err(format!("items is no list: {}", shown(other))),
    }
}

fn note_repeated(lines: &[Line], odd: &mut Vec<Oddity>) {
    let mut counts: BTreeMap<&ItemId, u32> = BTreeMap::new();
    lines.iter().for_each(|line| *counts.entry(&line.item_id).or_default() += 1);
    let repeated: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(item, count)| format!("{item} ×{count}"))
        .collect();
    if let [first, rest @ ..] = &repeated[..] {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        odd.push(Oddity::new(Odd::RepeatedItem, format!("{first}{more}")));
    }
}

fn line(value: &Bson, place: usize, odd: &mut Vec<Oddity>) -> Result<Line, String> {
    let object = match value {
        Bson::Document(object) => object,
        plain => return Ok(Line { item_id: item_id(plain)?, quantity: Quantity::ONE, unit_price: None }),
    };
    let names = ["itemId", "item", "id", "name"];
    let named = names.into_iter().find_map(|name| Some((name, given(object, name)?)));
    let (name, id) = named.ok_or_else(|| format!("names no item: {}", shown(value)))?;
    let item_id = item_id(id)?;
    let counted = ["quantity", "qty"].into_iter().find_map(|name| Some((name, given(object, name)?)));
    let quantity = match counted {
        None => Quantity::ONE,
        Some((_, count)) => units(count).ok_or_else(|| format!("{item_id}: quantity {}", shown(count)))?,
    };
    let unit_price = given(object, "unitPrice").and_then(money);
    // Mongoose gives an _id to objects in lists by itself.
    let taken = ["_id", name, counted.map_or("quantity", |(name, _)| name)];
    let is_left = |(key, value): &(&String, &Bson)| {
        let is_price = key.as_str() == "unitPrice" && unit_price.is_some();
        !is_price && !taken.contains(&key.as_str()) && !matches!(value, Bson::Null | Bson::Undefined)
    };
    let left: Vec<_> =
        object.iter().filter(is_left).map(|(key, value)| format!("{key}: {}", shown(value))).collect();
    if !left.is_empty() {
        odd.push(Oddity::new(Odd::FieldsLeft, format!("items[{place}] {item_id}: {}", left.join(", "))));
    }
    Ok(Line { item_id, quantity, unit_price })
}

/// A field that is there, and not null.
pub(crate) fn given<'a>(document: &'a Document, name: &str) -> Option<&'a Bson> {
    document.get(name).filter(|value| !matches!(value, Bson::Null | Bson::Undefined))
}

fn item_id(value: &Bson) -> Result<ItemId, String> {
    let text = match value {
        Bson::String(text) => text.clone(),
        Bson::ObjectId(id) => id.to_hex(),
        number => match whole(number) {
            Some(number) => number.to_string(),
            None => return Err(format!("{} names no item", shown(number))),
        },
    };
    ItemId::new(&text).map_err(|error| format!("{} {error}", shown(value)))
}

/// A number of units, in whatever type.
pub(crate) fn units(value: &Bson) -> Option<Quantity> {
    u64::try_from(whole(value)?).ok().and_then(|units| Quantity::new(units).ok())
}

/// A whole number, in whatever type: JavaScript writes doubles, and text where a schema does not forbid it.
pub(crate) fn whole(value: &Bson) -> Option<i128> {
    match value {
        Bson::Int32(number) => Some(i128::from(*number)),
        Bson::Int64(number) => Some(i128::from(*number)),
        Bson::Double(number) if number.fract() == 0.0 => format!("{number:.0}").parse().ok(),
        Bson::Decimal128(number) => number::whole(&number.to_string()),
        Bson::String(text) => number::whole(text.trim()),
        _ => None,
    }
}

fn money(value: &Bson) -> Option<Money> {
    let price = value.as_document()?;
    let amount = match given(price, "amount")? {
        Bson::String(text) => text.clone(),
        number @ (Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)) => {
            number.to_string()
        }
        _ => return None,
    };
    let currency = given(price, "currency")?.as_str()?;
    Money::parse(&amount, currency).ok()
}
