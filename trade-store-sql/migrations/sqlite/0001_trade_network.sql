-- The tables of a trade network.
--
-- What is made by an event is keyed by that event's sequence, so that "newest first" is the order of the primary key,
-- new rows go to the end of the table, and every index ends in the order that lists are read in.
-- Times are milliseconds since 1970-01-01 UTC; words are the codes of trade-core's enums; ids compare by bytes.

-- Where the log ends. Written last in every commit.
CREATE TABLE tn_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL CHECK (sequence >= 0),
    time INTEGER NOT NULL
) STRICT;

INSERT INTO tn_head (one, sequence, time) VALUES (1, 0, 0);

-- One row a step: the sequence of its last event, and the step as `Step::encode` writes it.
CREATE TABLE tn_log (
    last INTEGER PRIMARY KEY CHECK (last > 0),
    record BLOB NOT NULL
) STRICT;

-- The last sequence of every millisecond in which something was committed. Time never runs backwards along the log, so
-- a span of time is a span of sequences, and no list needs an index by time.
CREATE TABLE tn_moment (
    time INTEGER PRIMARY KEY,
    last INTEGER NOT NULL CHECK (last > 0)
) STRICT;

CREATE TABLE tn_station (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
    name TEXT,
    -- Up to 2^53 for each of any number of items: past 64 bits, so decimal digits.
    on_hand_total TEXT NOT NULL,
    item_count INTEGER NOT NULL CHECK (item_count >= 0),
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0)
) STRICT;

CREATE TABLE tn_stock (
    station INTEGER NOT NULL CHECK (station > 0),
    item TEXT NOT NULL CHECK (length(item) BETWEEN 1 AND 128),
    on_hand INTEGER NOT NULL CHECK (on_hand >= 0),
    reserved INTEGER NOT NULL CHECK (reserved BETWEEN 0 AND on_hand),
    incoming INTEGER NOT NULL CHECK (incoming >= 0),
    PRIMARY KEY (station, item),
    CHECK (on_hand <= 9007199254740991 AND incoming <= 9007199254740991 - on_hand)
) STRICT, WITHOUT ROWID;

CREATE TABLE tn_trade (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 119),
    buyer INTEGER NOT NULL CHECK (buyer > 0),
    seller INTEGER NOT NULL CHECK (seller > 0),
    item_lines TEXT NOT NULL,
    settlement INTEGER NOT NULL CHECK (settlement BETWEEN 0 AND 1),
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 3),
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    CHECK (buyer <> seller)
) STRICT;

CREATE INDEX tn_trade_by_buyer ON tn_trade (buyer, settlement, sequence);
CREATE INDEX tn_trade_by_seller ON tn_trade (seller, settlement, sequence);
CREATE INDEX tn_trade_by_status ON tn_trade (status, sequence);

CREATE TABLE tn_trade_item (
    item TEXT NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (item, sequence)
) STRICT, WITHOUT ROWID;

-- A trade and its shipment are made by one step, as neighbours in the log: the shipment of the trade at sequence N is
-- the row at N + 1. It repeats nothing of its trade (id, origin, destination and lines are null), so its lists by
-- origin and destination are walks of the trade's indexes. A transfer has these four columns, and no trade.
CREATE TABLE tn_cargo (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    trade INTEGER CHECK (trade < sequence),
    id TEXT CHECK (length(id) BETWEEN 1 AND 128),
    origin INTEGER CHECK (origin > 0),
    destination INTEGER CHECK (destination > 0),
    item_lines TEXT,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 5),
    eta INTEGER NOT NULL,
    requested_eta INTEGER,
    location TEXT,
    -- The trade's, so that one index answers which pending shipments have run out of time.
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    CHECK ((id IS NULL) = (origin IS NULL) AND (id IS NULL) = (destination IS NULL)
        AND (id IS NULL) = (item_lines IS NULL)),
    CHECK (id IS NOT NULL OR (trade IS NOT NULL AND trade = sequence - 1))
) STRICT;

CREATE UNIQUE INDEX tn_cargo_by_id ON tn_cargo (id) WHERE id IS NOT NULL;
CREATE INDEX tn_cargo_by_origin ON tn_cargo (origin, sequence) WHERE origin IS NOT NULL;
CREATE INDEX tn_cargo_by_destination ON tn_cargo (destination, sequence) WHERE destination IS NOT NULL;
CREATE INDEX tn_cargo_by_status ON tn_cargo (status, sequence);
CREATE INDEX tn_cargo_by_expiry ON tn_cargo (expires_at) WHERE status = 0 AND expires_at IS NOT NULL;

-- The events about a shipment after the one that made it.
CREATE TABLE tn_cargo_history (
    cargo INTEGER NOT NULL CHECK (cargo > 0),
    sequence INTEGER NOT NULL CHECK (sequence > cargo),
    PRIMARY KEY (cargo, sequence)
) STRICT, WITHOUT ROWID;

-- Double entry. A place is the sequence of a station; 0 is transit, -1 the world.
-- What a trade of immediate settlement moves is told by the step that makes it, two sequences after the trade. Such a row
-- repeats neither seller nor buyer (both places are null), so its lists by station are walks of the trade's indexes,
-- and no row of a trade needs a page of its own in an index of this table.
CREATE TABLE tn_ledger (
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    place INTEGER NOT NULL CHECK (place >= 0),
    time INTEGER NOT NULL,
    item TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 9007199254740991),
    from_place INTEGER CHECK (from_place >= -1),
    to_place INTEGER CHECK (to_place >= -1),
    reason INTEGER NOT NULL CHECK (reason >= 0),
    cargo INTEGER CHECK (cargo > 0),
    -- The station that lists what leaves and enters none.
    listed_at INTEGER CHECK (listed_at > 0),
    PRIMARY KEY (sequence, place),
    CHECK (from_place <> to_place),
    CHECK ((from_place IS NULL) = (to_place IS NULL)),
    CHECK (from_place IS NOT NULL OR (cargo IS NOT NULL AND cargo = sequence - 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX tn_ledger_by_origin ON tn_ledger (from_place, sequence, place) WHERE from_place > 0;
CREATE INDEX tn_ledger_by_destination ON tn_ledger (to_place, sequence, place) WHERE to_place > 0;
CREATE INDEX tn_ledger_by_list ON tn_ledger (listed_at, sequence, place) WHERE listed_at > 0;

-- One row a request that was applied, with where its steps stand in the log. A long answer goes on in
-- further rows. A table by rowid keeps large answers out of the index that is searched.
CREATE TABLE tn_receipt (
    request BLOB NOT NULL UNIQUE CHECK (length(request) = 16),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16),
    time INTEGER NOT NULL,
    first INTEGER,
    last INTEGER,
    answer BLOB,
    CHECK ((first IS NULL) = (last IS NULL) AND (first IS NULL OR first <= last))
) STRICT;

CREATE INDEX tn_receipt_by_time ON tn_receipt (time);
