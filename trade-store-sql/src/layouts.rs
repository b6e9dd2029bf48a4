//! What stands in which place of a row that is read, by name.
//!
//! One statement reads rows of several tables, so all have one form: some numbers, some texts, some bytes, and at the end
//! the number that tells what a row is. A statement names a layout as `{row:trade}`; who reads the row names its columns.
//! A column more is a line here, one where it is read (`rows`), and two where it is written (`commit`).

/// A name, and the expression that is selected for it.
type Column = (&'static str, &'static str);

/// The columns of a kind of row.
#[derive(Debug)]
pub(crate) struct Layout {
    numbers: &'static [Column],
    texts: &'static [Column],
    bytes: &'static [Column],
}

const NUMBERS: usize = 7;
const TEXTS: usize = 8;
const BYTES: usize = 3;
/// The place of the number that tells what a row is, where there are several kinds.
pub(crate) const KIND: usize = NUMBERS + TEXTS + BYTES;
/// The place of the column that statements of one column, or of columns of their own, have first.
pub(crate) const FIRST: usize = 0;

/// Where the log ends.
pub(crate) const HEAD: Layout = Layout {
    numbers: &[("sequence", "sequence"), ("time", "time"), ("format", "format")],
    texts: &[],
    bytes: &[],
};

/// A trade: `t`, of `b` and `s`.
pub(crate) const TRADE: Layout = Layout {
    numbers: &[
        ("sequence", "t.sequence"),
        ("settlement", "t.settlement"),
        ("status", "t.status"),
        ("expires_at", "t.expires_at"),
        ("created_at", "t.created_at"),
        ("updated_at", "t.updated_at"),
        ("version", "t.version"),
    ],
    texts: &[
        ("id", "t.id"),
        ("buyer", "b.id"),
        ("seller", "s.id"),
        ("lines", "t.item_lines"),
        ("metadata", "t.metadata"),
    ],
    bytes: &[],
};

/// A shipment: `c` of `t`, from `o` to `d`.
pub(crate) const CARGO: Layout = Layout {
    numbers: &[
        ("sequence", "c.sequence"),
        ("status", "c.status"),
        ("eta", "c.eta"),
        ("requested_eta", "c.requested_eta"),
        ("created_at", "c.created_at"),
        ("updated_at", "c.updated_at"),
        ("version", "c.version"),
    ],
    texts: &[
        ("own_id", "c.id"),
        ("trade", "t.id"),
        ("origin", "o.id"),
        ("destination", "d.id"),
        ("lines", "coalesce(c.item_lines, t.item_lines)"),
        ("location", "c.location"),
        ("metadata", "c.metadata"),
        ("requested_metadata", "c.requested_metadata"),
    ],
    bytes: &[],
};

/// A station: `s`.
pub(crate) const STATION: Layout = Layout {
    numbers: &[
        ("sequence", "s.sequence"),
        ("item_count", "s.item_count"),
        ("updated_at", "s.updated_at"),
        ("version", "s.version"),
    ],
    texts: &[
        ("id", "s.id"),
        ("name", "s.name"),
        ("on_hand_total", "s.on_hand_total"),
        ("metadata", "s.metadata"),
    ],
    bytes: &[],
};

/// An item at a station: `i`; what it is of, the statement says.
pub(crate) const ITEM: Layout = Layout {
    numbers: &[("of", ""), ("on_hand", "i.on_hand"), ("reserved", "i.reserved"), ("incoming", "i.incoming")],
    texts: &[("item", "i.item")],
    bytes: &[],
};

/// A row of the ledger: `l`, from `f` to `g`, of the shipment `c` of the trade `t`. One that its trade names repeats
/// neither place.
pub(crate) const LEDGER: Layout = Layout {
    numbers: &[
        ("sequence", "l.sequence"),
        ("place", "l.place"),
        ("time", "l.time"),
        ("quantity", "l.quantity"),
        ("from", "coalesce(l.from_place, t.seller)"),
        ("to", "coalesce(l.to_place, t.buyer)"),
        ("reason", "l.reason"),
    ],
    texts: &[
        ("item", "l.item"),
        ("from_station", "f.id"),
        ("to_station", "g.id"),
        ("own_cargo", "c.id"),
        ("trade", "t.id"),
    ],
    bytes: &[],
};

/// A receipt: `r`.
pub(crate) const RECEIPT: Layout = Layout {
    numbers: &[("time", "r.time"), ("first", "r.first"), ("last", "r.last")],
    texts: &[],
    bytes: &[("request", "r.request"), ("fingerprint", "r.fingerprint"), ("answer", "r.answer")],
};

/// A receipt without its answer.
pub(crate) const RECEIPT_ALONE: Layout =
    Layout { bytes: &[("request", "r.request"), ("fingerprint", "r.fingerprint")], ..RECEIPT };

/// An API key: `a`.
pub(crate) const API_KEY: Layout = Layout {
    numbers: &[("version", "a.version"), ("used_at", "a.used_at")],
    texts: &[("id", "a.id")],
    bytes: &[("record", "a.record")],
};

/// What a statement selects for a layout, of which it may say an expression itself: `trade`, `item|k.key`.
pub(crate) fn selected(named: &str) -> Option<String> {
    let (name, own) = named.split_once('|').unwrap_or((named, ""));
    let layout = match name {
        "head" => &HEAD,
        "trade" => &TRADE,
        "cargo" => &CARGO,
        "station" => &STATION,
        "item" => &ITEM,
        "ledger" => &LEDGER,
        "receipt" => &RECEIPT,
        "receipt_alone" => &RECEIPT_ALONE,
        "api_key" => &API_KEY,
        _ => return None,
    };
    let of = |columns: &[Column], absent: &'static str, count: usize| -> Vec<String> {
        let expressions =
            columns.iter().map(|(_, expression)| if expression.is_empty() { own } else { expression });
        let padded = expressions.chain(std::iter::repeat_n(absent, count - columns.len()));
        padded.map(str::to_owned).collect()
    };
    let [numbers, texts, bytes] = [
        of(layout.numbers, "{int}", NUMBERS),
        of(layout.texts, "{text}", TEXTS),
        of(layout.bytes, "{bytes}", BYTES),
    ];
    Some([numbers, texts, bytes].concat().join(", "))
}

impl Layout {
    /// The place of a number. One that there is not does not compile.
    pub(crate) const fn number(&self, name: &str) -> usize {
        place(self.numbers, name)
    }

    /// The same of a text.
    pub(crate) const fn text(&self, name: &str) -> usize {
        NUMBERS + place(self.texts, name)
    }

    /// The same of bytes.
    pub(crate) const fn bytes(&self, name: &str) -> usize {
        NUMBERS + TEXTS + place(self.bytes, name)
    }
}

const fn place(columns: &[Column], name: &str) -> usize {
    let mut place = 0;
    while !is_same(columns[place].0.as_bytes(), name.as_bytes()) {
        place += 1;
    }
    place
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The place of a column by its name, known when this is compiled: `at!(TRADE.number "status")`.
macro_rules! at {
    ($layout:ident . $kind:ident $name:literal) => {
        const { $crate::layouts::$layout.$kind($name) }
    };
}
pub(crate) use at;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_fills_the_same_places() {
        for name in [
            "head",
            "trade",
            "cargo",
            "station",
            "item|k.key",
            "ledger",
            "receipt",
            "receipt_alone",
            "api_key",
        ] {
            let columns = selected(name).unwrap();
            let functions = columns.matches("coalesce(").count();
            assert_eq!(columns.split(", ").count() - functions, KIND, "{columns}");
        }
        assert_eq!(at!(TRADE.number "status"), 2);
        assert_eq!(at!(CARGO.text "location"), NUMBERS + 5);
        assert_eq!(selected("none"), None);
    }
}
