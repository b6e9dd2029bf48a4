//! Keys, cut into as many as one command holds: those of a batch of 16 MB with long ids are several times as large.

use std::borrow::Cow;
use trade_core::store::Keys;

/// The most bytes of keys in a command, which is a document of at most 16 MB.
const BYTES_MAX: usize = 12 << 20;
/// What stands around a key in its list, among it the number of its place.
const OVERHEAD_BYTES: usize = 16;

#[derive(Debug, Default)]
struct Parts<'k> {
    full: Vec<Cow<'k, Keys>>,
    open: Keys,
    bytes: usize,
}

impl Parts<'_> {
    /// Where a key of so many bytes goes.
    fn room_for(&mut self, bytes: usize) -> &mut Keys {
        let bytes = bytes + OVERHEAD_BYTES;
        if self.bytes + bytes > BYTES_MAX {
            self.full.push(Cow::Owned(std::mem::take(&mut self.open)));
            self.bytes = 0;
        }
        self.bytes += bytes;
        &mut self.open
    }
}

/// All keys in one part where they go in, in several otherwise.
pub(super) fn of(keys: &Keys) -> Vec<Cow<'_, Keys>> {
    if bytes(keys) <= BYTES_MAX {
        return vec![Cow::Borrowed(keys)];
    }
    let Keys { trades, cargo, stations, stock, inventories, requests } = keys;
    let mut parts = Parts::default();
    for id in trades {
        parts.room_for(id.as_str().len()).trades.insert(id.clone());
    }
    for id in cargo {
        parts.room_for(id.as_str().len()).cargo.insert(id.clone());
    }
    for id in stations {
        parts.room_for(id.as_str().len()).stations.insert(id.clone());
    }
    for (station, item) in stock {
        let bytes = station.as_str().len() + 1 + item.as_str().len();
        parts.room_for(bytes).stock.insert((station.clone(), item.clone()));
    }
    for id in inventories {
        // It is asked for as a station, and for its items.
        parts.room_for(2 * (id.as_str().len() + OVERHEAD_BYTES)).inventories.insert(id.clone());
    }
    for request in requests {
        parts.room_for(request.0.len() + OVERHEAD_BYTES).requests.insert(*request);
    }
    parts.full.push(Cow::Owned(parts.open));
    parts.full
}

fn bytes(keys: &Keys) -> usize {
    let Keys { trades, cargo, stations, stock, inventories, requests } = keys;
    let text = |id: &str| id.len() + OVERHEAD_BYTES;
    trades.iter().map(|id| text(id.as_str())).sum::<usize>()
        + cargo.iter().map(|id| text(id.as_str())).sum::<usize>()
        + stations.iter().map(|id| text(id.as_str())).sum::<usize>()
        + stock.iter().map(|(station, item)| text(station.as_str()) + 1 + item.as_str().len()).sum::<usize>()
        + inventories.iter().map(|id| 2 * text(id.as_str()) + OVERHEAD_BYTES).sum::<usize>()
        + requests.iter().map(|request| request.0.len() + 2 * OVERHEAD_BYTES).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_core::testing::fixtures::{item, station, trade_id};

    #[test]
    fn few_keys_are_one_part_and_many_are_cut_without_a_loss() {
        let mut keys = Keys::default();
        assert_eq!(of(&keys).len(), 1);
        keys.trades.insert(trade_id("T"));
        keys.inventories.insert(station("s"));
        assert_eq!(of(&keys).len(), 1);
        let long = |n: usize| (station("s"), item(&format!("{n:0>128}")));
        keys.stock.extend((0..200_000).map(long));
        let parts = of(&keys);
        assert_eq!(parts.len(), 3);
        let mut whole = Keys::default();
        for part in parts {
            assert!(bytes(&part) <= BYTES_MAX);
            let Keys { trades, stock, inventories, .. } = part.into_owned();
            whole.trades.extend(trades);
            whole.stock.extend(stock);
            whole.inventories.extend(inventories);
        }
        assert_eq!(
            (whole.trades, whole.stock, whole.inventories),
            (keys.trades, keys.stock, keys.inventories)
        );
    }
}
