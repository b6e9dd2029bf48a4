//! The tables that the columns of a row stand in (see [`crate::layouts`]).

/// The tables of `{row:trade}`, beside `tn_trade t`.
macro_rules! trade_joins {
    () => {
        " {then:tn_station|b|b.sequence = t.buyer} {then:tn_station|s|s.sequence = t.seller}"
    };
}

/// The tables of `{row:cargo}`, beside `tn_cargo c`.
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
            "), (SELECT y.cargo FROM tn_trade y WHERE y.id = ",
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

/// The tables of `{row:ledger}`, beside `tn_ledger l`.
macro_rules! ledger_joins {
    () => {
        " LEFT JOIN tn_cargo c ON c.sequence = l.cargo \
          LEFT JOIN tn_trade t ON t.sequence = c.trade \
          LEFT JOIN tn_station f ON f.sequence = coalesce(l.from_place, t.seller) \
          LEFT JOIN tn_station g ON g.sequence = coalesce(l.to_place, t.buyer)"
    };
}

pub(crate) use {cargo_joins, cargo_of, cargo_of_key, ledger_joins, trade_joins};
