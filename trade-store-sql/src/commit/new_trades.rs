//! The trades that a commit makes, and the rows that repeat nothing of them: each is named by its trade's row.

use super::Defect;
use super::keys::RowKeys;
use crate::rows::stored;
use std::collections::HashMap;
use trade_core::resource::{Cargo, LedgerEntry, Place, Settlement, Trade};
use trade_core::store::{Commit, Write};
use trade_core::values::TransactionId;

#[derive(Debug)]
pub(crate) struct NewTrades<'c>(HashMap<&'c TransactionId, NewTrade<'c>>);

/// A trade that a commit makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTrade<'c> {
    pub(crate) trade: &'c Trade,
    /// Its shipment, where that goes from seller to buyer, with the same lines.
    pub(crate) cargo: Option<i64>,
    /// The event that tells what went from seller to buyer at once.
    pub(crate) moved: Option<i64>,
}

impl<'c> NewTrades<'c> {
    pub(super) fn of(commit: &'c Commit, keys: &RowKeys<'c>, shift: u64) -> Result<Self, Defect> {
        let trade = |(id, trade)| (id, NewTrade { trade, cargo: None, moved: None });
        let mut new = Self(made(&commit.trades).map(trade).collect());
        if new.0.is_empty() {
            return Ok(new);
        }
        for (id, cargo) in made(&commit.cargo) {
            let trade = cargo.transaction_id.as_ref().and_then(|id| new.0.get_mut(id));
            if let Some(trade) = trade.filter(|trade| repeats(cargo, trade.trade)) {
                trade.cargo = Some(keys.cargo(id)?);
            }
        }
        for entry in commit.ledger.iter().map(|write| &write.entry) {
            let trade = entry.transaction_id.as_ref().and_then(|id| new.0.get_mut(id));
            if let Some(trade) = trade.filter(|trade| trade.cargo.is_some() && is_sale(entry, trade.trade)) {
                trade.moved.get_or_insert(stored(entry.sequence + shift));
            }
        }
        Ok(new)
    }

    pub(super) fn get(&self, id: &TransactionId) -> Option<&NewTrade<'c>> {
        self.0.get(id)
    }

    /// The trade of a shipment that repeats nothing of it.
    pub(super) fn of_cargo(&self, sequence: i64, cargo: &Cargo) -> Option<&NewTrade<'c>> {
        let trade = self.0.get(cargo.transaction_id.as_ref()?)?;
        (trade.cargo == Some(sequence)).then_some(trade)
    }

    /// Whether a row of the ledger repeats nothing of its trade.
    pub(super) fn tells(&self, sequence: i64, entry: &LedgerEntry) -> bool {
        let trade = entry.transaction_id.as_ref().and_then(|id| self.0.get(id));
        trade.is_some_and(|trade| trade.moved == Some(sequence) && is_sale(entry, trade.trade))
    }
}

fn made<K, T>(writes: &[Write<K, T>]) -> impl Iterator<Item = (&K, &T)> {
    let made = writes.iter().filter(|write| write.expected.is_none());
    made.filter_map(|write| Some((&write.key, write.value.as_deref()?)))
}

fn repeats(cargo: &Cargo, trade: &Trade) -> bool {
    cargo.shipment_id == trade.shipment_id
        && cargo.origin == trade.seller
        && cargo.destination == trade.buyer
        && cargo.items == trade.items
}

/// Whether goods of a trade of immediate settlement went from its seller to its buyer.
fn is_sale(entry: &LedgerEntry, trade: &Trade) -> bool {
    let is = |place: &Place, station| matches!(place, Place::Station(id) if id == station);
    trade.settlement == Settlement::Immediate
        && entry.shipment_id.as_ref() == Some(&trade.shipment_id)
        && is(&entry.from, &trade.seller)
        && is(&entry.to, &trade.buyer)
}
