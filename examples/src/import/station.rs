//! An inventory of the source. Pure.

use super::deal::{id, note_left};
use super::finding::{Odd, Oddity, Read, Refusal, Refused};
use super::items::{given, shown, stock, whole};
use mongodb::bson::Document;
use std::collections::BTreeMap;
use trade_core::values::{ItemId, Label, Quantity, StationId};

/// A station with what it holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) station: StationId,
    pub(crate) name: Option<Label>,
    pub(crate) stock: BTreeMap<ItemId, Quantity>,
}

/// A station's inventory.
pub(crate) fn inventory(document: &Document) -> Read<Holding> {
    let mut odd = Vec::new();
    let value = read(document, &mut odd);
    Read { value, odd }
}

fn read(document: &Document, odd: &mut Vec<Oddity>) -> Result<Holding, Refusal> {
    let station: StationId = id(document, "stationId", (Refused::NoId, Refused::BadId))?;
    let name = given(document, "name").and_then(|name| Label::try_from(name.as_str()?).ok());
    let stock = stock(document.get("items"), odd)?;
    let held: i128 = stock.values().map(|quantity| i128::from(quantity.units())).sum();
    match given(document, "quantity") {
        Some(quantity) if whole(quantity) == Some(held) => {}
        other => {
            let told = other.map_or("is missing".into(), shown);
            let detail = format!("{station}: quantity {told}, the items are {held}");
            odd.push(Oddity::new(Odd::QuantityDiffers, detail));
        }
    }
    let taken =
        ["stationId", "quantity", "items", "createdAt", if name.is_some() { "name" } else { "items" }];
    note_left(document, &taken, odd);
    Ok(Holding { station, name, stock })
}
