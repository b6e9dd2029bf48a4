//! The values that several bodies share: lines, prices, metadata.

use crate::fields::Value;
use crate::fields::{Node, text};
use crate::json::Json;
use crate::value::{List, body};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use trade_core::resource::{Line, Lines, LinesError};
use trade_core::schema::amount_pattern;
use trade_core::values::{Amount, Currency, InvalidValue, ItemId, Metadata, Money, Quantity, UNITS_MAX};

/// Names and texts that an application keeps.
impl Value for Metadata {
    fn read(node: Node<'_>) -> Option<Self> {
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
}

body! {
    /// The price of one unit.
    struct Price("prices") {
        /// How much: at most 12 integer and 6 fraction digits.
        #[schemars(extend("pattern" = amount_pattern(Amount::INTEGER_DIGITS_MAX)))]
        "amount" => amount: Amount,
        /// Of what.
        "currency" => currency: Currency,
    }

    /// So many units of an item, at a price each where it has one.
    struct NewLine("lines") {
        /// The item.
        "itemId" => item_id: ItemId,
        /// How many units.
        "quantity" => quantity: Quantity,
        /// The price of one unit.
        "unitPrice" => unit_price: Option<Price>,
    }

    /// So many units of an item.
    struct NewStock("lines") {
        /// The item.
        "itemId" => item_id: ItemId,
        /// How many units.
        "quantity" => quantity: Quantity,
    }
}

/// A line, or an item alone, of which it is one unit.
#[derive(Debug)]
struct OrItem<L>(L);

impl<L: Value + From<ItemId>> Value for OrItem<L> {
    const PLURAL: &'static str = L::PLURAL;

    fn read(node: Node<'_>) -> Option<Self> {
        let line = if let Json::Text(_) = node.json { text::<ItemId>(node)?.into() } else { L::read(node)? };
        Some(Self(line))
    }
}

impl<L: JsonSchema> JsonSchema for OrItem<L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}OrItem", L::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let forms = [schemas.subschema_for::<L>(), schemas.subschema_for::<ItemId>()];
        json_schema!({ "description": "A line, or an item alone, of which it is one unit.", "anyOf": forms })
    }
}

impl From<ItemId> for NewLine {
    fn from(item_id: ItemId) -> Self {
        Self { item_id, quantity: Quantity::ONE, unit_price: None }
    }
}

impl From<ItemId> for NewStock {
    fn from(item_id: ItemId) -> Self {
        Self { item_id, quantity: Quantity::ONE }
    }
}

/// The lines of a trade or a transfer; those alike in item and price are added up.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(crate) struct NewLines(
    #[schemars(with = "List<OrItem<NewLine>, 1, { Lines::COUNT_MAX }>")] pub(crate) Lines,
);

impl Value for NewLines {
    fn read(node: Node<'_>) -> Option<Self> {
        let read = |_, node: Node<'_>| {
            let OrItem(NewLine { item_id, quantity, unit_price }) = OrItem::read(node)?;
            let unit_price = unit_price.map(|Price { amount, currency }| Money { amount, currency });
            Some(Line { item_id, quantity, unit_price })
        };
        match Lines::new(node.list(List::<OrItem<NewLine>, 1, { Lines::COUNT_MAX }>::BOUNDS, read)?) {
            Ok(lines) => Some(Self(lines)),
            Err(LinesError::Count) => node.fault(LinesError::Count.to_string()),
            Err(LinesError::QuantityOutOfRange(item_id)) => {
                // Not a matter of form: the rules refuse it, as the answer of this one trade of a batch. Two lines of the
                // largest quantity say the same as those that were given.
                let most = Quantity::new(UNITS_MAX).ok()?;
                let line = Line { item_id, quantity: most, unit_price: None };
                Some(Self(Lines::from_stored(vec![line.clone(), line])))
            }
        }
    }
}

/// What a new station holds.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(crate) struct OpeningStock(
    #[schemars(with = "List<OrItem<NewStock>, 0, { Lines::COUNT_MAX }>")] pub(crate) Vec<(ItemId, Quantity)>,
);

impl Value for OpeningStock {
    fn read(node: Node<'_>) -> Option<Self> {
        let read = |_, node: Node<'_>| {
            let OrItem(NewStock { item_id, quantity }) = OrItem::read(node)?;
            Some((item_id, quantity))
        };
        node.list(List::<OrItem<NewStock>, 0, { Lines::COUNT_MAX }>::BOUNDS, read).map(Self)
    }
}
