use crate::values::{ItemId, Money, MoneySum, Quantity, TotalOutOfRange, Worth};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One line of a trade or shipment: so many units of an item, at a price each where it has one.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    /// The item.
    pub item_id: ItemId,
    /// How many units.
    pub quantity: Quantity,
    /// The price of one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
}

impl Line {
    /// So many units, without a price.
    pub fn new(item_id: ItemId, quantity: Quantity) -> Self {
        Self { item_id, quantity, unit_price: None }
    }
}

/// 1 to 5 000 lines in the order they came, no two alike in both item and price as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lines(Arc<[Line]>);

/// Why a list of lines is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// No line, or too many.
    #[error("must hold 1 to 5000 lines")]
    Count,
    /// The lines of one item at one price add up to more than a quantity can be.
    #[error("the lines of item {0} add up to more than 9007199254740991 units")]
    QuantityOutOfRange(ItemId),
}

impl Lines {
    /// The most lines a request may list.
    pub const COUNT_MAX: usize = 5_000;

    /// Adds up the lines that are alike in item and price. A price keeps its digits, so `2.5` and `2.50` stay apart.
    ///
    /// # Errors
    /// [`LinesError`] for no or too many lines, or a sum past the range of a quantity.
    pub fn new(given: Vec<Line>) -> Result<Self, LinesError> {
        if given.is_empty() || given.len() > Self::COUNT_MAX {
            return Err(LinesError::Count);
        }
        let mut merged: Vec<Line> = Vec::with_capacity(given.len());
        let mut places: HashMap<(ItemId, Option<Money>), usize> = HashMap::with_capacity(given.len());
        for line in given {
            let place = *places.entry((line.item_id.clone(), line.unit_price)).or_insert(merged.len());
            match merged.get_mut(place) {
                None => merged.push(line),
                Some(first) => {
                    first.quantity = first
                        .quantity
                        .checked_add(line.quantity)
                        .ok_or_else(|| LinesError::QuantityOutOfRange(line.item_id.clone()))?;
                }
            }
        }
        Ok(Self(merged.into()))
    }

    /// Takes lines back from a store, as [`Lines::new`] made them.
    pub fn from_stored(lines: Vec<Line>) -> Self {
        Self(lines.into())
    }

    /// Units per item over all prices, ascending by item.
    pub fn units_by_item(&self) -> Vec<(&ItemId, u128)> {
        let mut units: Vec<_> =
            self.iter().map(|line| (&line.item_id, u128::from(line.quantity.units()))).collect();
        units.sort_unstable_by_key(|(item, _)| *item);
        units.dedup_by(|next, sum| {
            let same = next.0 == sum.0;
            if same {
                sum.1 += next.1;
            }
            same
        });
        units
    }

    /// One total per currency of quantity × unit price; empty where nothing is priced.
    ///
    /// # Errors
    /// [`TotalOutOfRange`] past 22 integer digits.
    pub fn totals(&self) -> Result<Vec<Money>, TotalOutOfRange> {
        let mut sum = MoneySum::default();
        for line in self.iter() {
            if let Some(price) = &line.unit_price {
                sum.add(line.quantity, price);
            }
        }
        sum.totals()
    }

    /// Whether both list the same, in whatever order. Prices are compared by value: `2.5` is `2.50`.
    pub fn same_content(&self, other: &Self) -> bool {
        self == other || self.content() == other.content()
    }

    /// The units of each item at each price, by value.
    fn content(&self) -> BTreeMap<(&ItemId, Option<Worth>), u128> {
        let mut units = BTreeMap::new();
        for line in self.iter() {
            let price = line.unit_price.as_ref().map(Money::worth);
            *units.entry((&line.item_id, price)).or_default() += u128::from(line.quantity.units());
        }
        units
    }
}

impl std::ops::Deref for Lines {
    type Target = [Line];
    fn deref(&self) -> &[Line] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(item: &str, quantity: u64, price: Option<&str>) -> Line {
        Line {
            item_id: item.try_into().unwrap(),
            quantity: Quantity::new(quantity).unwrap(),
            unit_price: price.map(|amount| Money::parse(amount, "GBP").unwrap()),
        }
    }

    #[test]
    fn lines_of_one_item_and_price_are_added_up_and_prices_stay_apart() {
        let lines = Lines::new(vec![
            line("tea", 1, Some("2.5")),
            line("rice", 4, None),
            line("tea", 2, Some("2.5")),
            line("tea", 5, Some("2.6")),
            line("tea", 6, None),
        ])
        .unwrap();
        let expected = [
            line("tea", 3, Some("2.5")),
            line("rice", 4, None),
            line("tea", 5, Some("2.6")),
            line("tea", 6, None),
        ];
        assert_eq!(lines[..], expected);
        assert_eq!(lines.units_by_item().iter().map(|(_, units)| *units).collect::<Vec<_>>(), [4, 14]);
    }

    #[test]
    fn the_same_content_is_the_same_by_value() {
        let lines = |lines: &[Line]| Lines::new(lines.to_vec()).unwrap();
        let asked = lines(&[line("tea", 1, Some("2.5")), line("tea", 2, Some("2.50"))]);
        assert_eq!(asked.len(), 2, "each is written back as it came");
        for same in [
            &[line("tea", 3, Some("2.500"))][..],
            &[line("tea", 1, Some("2.50")), line("tea", 2, Some("2.5"))],
        ] {
            assert!(asked.same_content(&lines(same)), "{same:?}");
        }
        for other in [line("tea", 3, Some("2.51")), line("tea", 4, Some("2.5")), line("tea", 3, None)] {
            assert!(!asked.same_content(&lines(&[other])));
        }
    }

    #[test]
    fn none_too_many_and_too_much_are_refused() {
        assert_eq!(Lines::new(vec![]), Err(LinesError::Count));
        assert_eq!(Lines::new(vec![line("tea", 1, None); 5_001]), Err(LinesError::Count));
        assert!(Lines::new(vec![line("tea", 1, None); 5_000]).is_ok());
        let much = line("tea", crate::values::UNITS_MAX, None);
        assert!(matches!(Lines::new(vec![much.clone(), much]), Err(LinesError::QuantityOutOfRange(_))));
    }
}
