//! The columns that rows are read from, each in its place (see [`crate::rows`]), and the tables these stand in.

/// The columns of a trade: `t`, of `b` and `s`.
macro_rules! trade_columns {
    () => {
        "t.sequence, t.settlement, t.status, t.expires_at, t.created_at, t.updated_at, t.version, \
         t.id, b.id, s.id, t.item_lines, {text}, {text}, {bytes}, {bytes}, {bytes}"
    };
}

/// The tables of [`trade_columns`], beside `tn_trade t`.
macro_rules! trade_joins {
    () => {
        " {then:tn_station|b|b.sequence = t.buyer} {then:tn_station|s|s.sequence = t.seller}"
    };
}

/// The columns of a shipment: `c` of `t`, from `o` to `d`.
macro_rules! cargo_columns {
    () => {
        "c.sequence, c.status, c.eta, c.requested_eta, c.created_at, c.updated_at, c.version, \
         c.id, t.id, o.id, d.id, coalesce(c.item_lines, t.item_lines), c.location, {bytes}, {bytes}, {bytes}"
    };
}

/// The tables of [`cargo_columns`], beside `tn_cargo c`.
macro_rules! cargo_joins {
    () => {
        " LEFT JOIN tn_trade t ON t.sequence = c.trade \
          {then:tn_station|o|o.sequence = coalesce(c.origin, t.seller)} \
          {then:tn_station|d|d.sequence = coalesce(c.destination, t.buyer)}"
    };
}

/// The sequence of the shipment of an id: its own, or that of the trade in its name. Takes two expressions.
macro_rules! cargo_of {
    ($id:literal, $trade:literal) => {
        concat!(
            "coalesce((SELECT x.sequence FROM tn_cargo x WHERE x.id = ",
            $id,
            "), (SELECT y.sequence FROM tn_trade x JOIN tn_cargo y ON y.sequence = x.sequence + 1 AND y.id IS NULL \
             WHERE x.id = ",
            $trade,
            "))"
        )
    };
}

/// The same for the id `k.value`. `shipment-` has nine characters.
macro_rules! cargo_of_key {
    () => {
        cargo_of!("k.value", "CASE WHEN substr(k.value, 1, 9) = 'shipment-' THEN substr(k.value, 10) END")
    };
}

/// The columns of a station: `s`.
macro_rules! station_columns {
    () => {
        "s.sequence, s.item_count, s.updated_at, s.version, {int}, {int}, {int}, \
         s.id, s.name, s.on_hand_total, {text}, {text}, {text}, {bytes}, {bytes}, {bytes}"
    };
}

/// The columns of an item at a station: `i`, after an expression of the caller's.
macro_rules! item_columns {
    ($first:literal) => {
        concat!(
            $first,
            ", i.on_hand, i.reserved, i.incoming, {int}, {int}, {int}, \
             i.item, {text}, {text}, {text}, {text}, {text}, {bytes}, {bytes}, {bytes}"
        )
    };
}

/// The columns of a ledger row: `l`, from `f` to `g`, of the shipment `c` of the trade `t`. A row of a trade's own step
/// repeats neither place.
macro_rules! ledger_columns {
    () => {
        "l.sequence, l.place, l.time, l.quantity, coalesce(l.from_place, t.seller), coalesce(l.to_place, t.buyer), l.reason, \
         l.item, f.id, g.id, c.id, t.id"
    };
}

/// The tables of [`ledger_columns`], beside `tn_ledger l`.
macro_rules! ledger_joins {
    () => {
        " LEFT JOIN tn_cargo c ON c.sequence = l.cargo \
          LEFT JOIN tn_trade t ON t.sequence = c.trade \
          LEFT JOIN tn_station f ON f.sequence = coalesce(l.from_place, t.seller) \
          LEFT JOIN tn_station g ON g.sequence = coalesce(l.to_place, t.buyer)"
    };
}

pub(crate) use {
    cargo_columns, cargo_joins, cargo_of, cargo_of_key, item_columns, ledger_columns, ledger_joins,
    station_columns, trade_columns, trade_joins,
};
