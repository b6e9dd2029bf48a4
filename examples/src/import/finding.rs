//! What there is to say about a document of the source.

/// A collection of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    Trades,
    Cargos,
    Inventories,
}

impl Collection {
    pub(crate) const ALL: [Self; 3] = [Self::Trades, Self::Cargos, Self::Inventories];

    /// Its name, as Mongoose makes it out of the model's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Cargos => "cargos",
            Self::Inventories => "inventories",
        }
    }

    /// The field with the id that the network knows its documents by.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Trades => "transactionId",
            Self::Cargos => "shipmentId",
            Self::Inventories => "stationId",
        }
    }
}

/// What is odd about a document that is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Odd {
    QuantityDiffers,
    ItemLeft,
    RepeatedItem,
    StationWithoutInventory,
    StockCorrected,
    TradeWithoutCargo,
    CargoWithoutTrade,
    CargoDiffers,
    StatusesDisagree,
    StatusMissing,
    StatusSpelled,
    CargoStatusUnknown,
    TimeMissing,
    TimeUnreadable,
    TimeAhead,
    TimeBeforeYear0,
    ChangedBeforeMade,
    EtaUnreadable,
    FieldsLeft,
}

impl Odd {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::QuantityDiffers => "quantity does not match the items, which were taken",
            Self::ItemLeft => "item of a station that was not taken over",
            Self::RepeatedItem => "item listed more than once, added up",
            Self::StationWithoutInventory => "station without inventory, made without stock",
            Self::StockCorrected => "stock that came in by trades and is not there any more, corrected",
            Self::TradeWithoutCargo => "trade without cargo, which was made",
            Self::CargoWithoutTrade => "cargo without its trade, which was made",
            Self::CargoDiffers => "cargo differs from its trade, which was taken",
            Self::StatusesDisagree => "statuses of trade and cargo disagree",
            Self::StatusMissing => "no status",
            Self::StatusSpelled => "status in other words than the network's",
            Self::CargoStatusUnknown => "no such status of a cargo, its trade's was taken",
            Self::TimeMissing => "no time of creation",
            Self::TimeUnreadable => "time that cannot be read, left out",
            Self::TimeBeforeYear0 => "time before the year 0, taken as 1970",
            Self::ChangedBeforeMade => "changed before it was made, taken as then",
            Self::TimeAhead => "time in the future, taken as now",
            Self::EtaUnreadable => "ETA that is no time, left out",
            Self::FieldsLeft => "fields that were not taken over",
        }
    }
}

/// Why a document is not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refused {
    NoId,
    BadId,
    Duplicate,
    BadStation,
    BadItems,
    UnknownStatus,
    ByRule,
    NotHeld,
    TooMuch,
    ItsTrade,
}

impl Refused {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NoId => "no id",
            Self::BadId => "an id that the network refuses",
            Self::Duplicate => "another document has its id",
            Self::BadStation => "a station that the network refuses",
            Self::BadItems => "items that the network refuses",
            Self::UnknownStatus => "no such status",
            Self::ByRule => "against a rule of the network",
            Self::NotHeld => "its origin does not hold what it is to send",
            Self::TooMuch => "more units than the network counts",
            Self::ItsTrade => "its trade was not taken over",
        }
    }
}

/// Something odd, with what exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Oddity {
    pub(crate) kind: Odd,
    pub(crate) detail: String,
}

impl Oddity {
    pub(crate) fn new(kind: Odd, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// A refusal, with what exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Refused,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(kind: Refused, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// A document as the network can hold it, or why it cannot; and what is odd about it.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) value: Result<T, Refusal>,
    pub(crate) odd: Vec<Oddity>,
}
