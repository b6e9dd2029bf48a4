use super::Version;
use crate::values::{ItemId, Label, Metadata, StationId, Timestamp, UNITS_MAX};
use serde::{Deserialize, Serialize};

/// What a station holds of one item, in units. `reserved ≤ on_hand`, and `on_hand + incoming` ≤ 2^53 − 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StockLevel {
    /// Physically there.
    pub on_hand: u64,
    /// Of what is there, promised to a shipment not yet sent.
    pub reserved: u64,
    /// Agreed to arrive here.
    pub incoming: u64,
}

impl StockLevel {
    /// What can still be sold or sent: on hand less reserved.
    pub fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// The stock level of one item, as a station lists it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "StockItemJson", into = "StockItemJson")]
pub struct StockItem {
    /// The item.
    pub item_id: ItemId,
    /// How much of it.
    pub level: StockLevel,
}

/// The stock level of one item, in units.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", schemars(rename = "StockItem"))]
struct StockItemJson {
    /// The item.
    item_id: ItemId,
    /// Physically there.
    on_hand: u64,
    /// Of what is there, promised to a shipment not yet sent.
    reserved: u64,
    /// What can still be sold or sent: on hand less reserved.
    available: u64,
    /// Agreed to arrive here.
    incoming: u64,
}

impl From<StockItem> for StockItemJson {
    fn from(StockItem { item_id, level }: StockItem) -> Self {
        let StockLevel { on_hand, reserved, incoming } = level;
        Self { item_id, on_hand, reserved, available: level.available(), incoming }
    }
}

impl From<StockItemJson> for StockItem {
    fn from(json: StockItemJson) -> Self {
        let StockItemJson { item_id, on_hand, reserved, incoming, available: _ } = json;
        Self { item_id, level: StockLevel { on_hand, reserved, incoming } }
    }
}

/// A station without its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// Its id.
    pub station_id: StationId,
    /// Its name.
    pub name: Option<Label>,
    /// What an application keeps with it.
    pub metadata: Option<Metadata>,
    /// Σ on hand over all items, exact: past 2^53 with many items, and then capped where it is written as JSON.
    pub on_hand_total: u128,
    /// How many items it holds or held.
    pub item_count: u64,
    /// How often it changed, from 1.
    pub version: Version,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The stock of a station: all of it, the first items of it, or those that a step changed.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The station.
    pub station_id: StationId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// What an application keeps with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Σ on hand over all items of the station, capped at 2^53 − 1.
    pub quantity: u64,
    /// How many items the station holds or held, listed here or not, capped at 2^53 − 1.
    pub item_count: u64,
    /// Levels, ascending by item.
    pub items: Vec<StockItem>,
    /// How often the station changed, from 1.
    pub version: Version,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Inventory {
    /// The most items one answer lists.
    pub const ITEMS_MAX: usize = 5_000;

    /// Its items, and what takes as much memory.
    pub(crate) fn lines(&self) -> usize {
        self.items.len() + Metadata::lines(self.metadata.as_ref())
    }

    /// A sum as it is shown.
    pub(crate) fn capped(sum: u128) -> u64 {
        u64::try_from(sum).unwrap_or(u64::MAX).min(UNITS_MAX)
    }

    /// Puts a station and some of its items together.
    pub fn new(station: &Station, items: Vec<StockItem>) -> Self {
        Self {
            station_id: station.station_id.clone(),
            name: station.name.clone(),
            metadata: station.metadata.clone(),
            quantity: Self::capped(station.on_hand_total),
            item_count: Self::capped(u128::from(station.item_count)),
            items,
            version: station.version,
            updated_at: station.updated_at,
        }
    }
}
