//! Text that several statements share. All of it is constant: values are bound, never written into a statement.

/// The columns of [`TradeRow`](crate::rows::TradeRow).
macro_rules! trade_columns {
    () => {
        "t.sequence, t.id, b.id, s.id, t.lines, t.settlement, t.status, t.expires_at, t.created_at, t.updated_at, t.version"
    };
}

/// The tables of [`trade_columns`], beside `tn_trade t`. `CROSS JOIN` keeps the order of the joins as it is written.
macro_rules! trade_joins {
    () => {
        " CROSS JOIN tn_station b ON b.sequence = t.buyer CROSS JOIN tn_station s ON s.sequence = t.seller"
    };
}

/// The columns of [`CargoRow`](crate::rows::CargoRow).
macro_rules! cargo_columns {
    () => {
        "c.sequence, c.id, t.id, o.id, d.id, coalesce(c.lines, t.lines), c.status, c.eta, c.requested_eta, c.location, c.created_at, c.updated_at, c.version"
    };
}

/// The tables of [`cargo_columns`], beside `tn_cargo c`.
macro_rules! cargo_joins {
    () => {
        " LEFT JOIN tn_trade t ON t.sequence = c.trade \
          CROSS JOIN tn_station o ON o.sequence = coalesce(c.origin, t.seller) \
          CROSS JOIN tn_station d ON d.sequence = coalesce(c.destination, t.buyer)"
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

/// The columns of [`StationRow`](crate::rows::StationRow).
macro_rules! station_columns {
    () => {
        "s.sequence, s.id, s.name, s.on_hand_total, s.item_count, s.updated_at, s.version"
    };
}

/// The columns and tables of [`LedgerRow`](crate::rows::LedgerRow), beside `tn_ledger l`.
macro_rules! ledger_columns {
    () => {
        "l.sequence, l.place, l.time, l.item, l.quantity, l.from_place, f.id, l.to_place, g.id, l.reason, c.id, t.id"
    };
}

macro_rules! ledger_joins {
    () => {
        " LEFT JOIN tn_station f ON f.sequence = l.from_place \
          LEFT JOIN tn_station g ON g.sequence = l.to_place \
          LEFT JOIN tn_cargo c ON c.sequence = l.cargo \
          LEFT JOIN tn_trade t ON t.sequence = c.trade"
    };
}

pub(super) use {
    cargo_columns, cargo_joins, cargo_of, ledger_columns, ledger_joins, station_columns, trade_columns,
    trade_joins,
};

/// A list of keys as one value, for `json_each`.
pub(super) fn json_list<'k>(keys: impl IntoIterator<Item = &'k str>) -> String {
    serde_json::Value::from_iter(keys).to_string()
}
