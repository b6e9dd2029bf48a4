-- The tables of a trade network.
--
-- What is made by an event is keyed by that event's sequence, so that "newest first" is the order of the primary key,
-- new rows go to the end of the table, and every index ends in the order that lists are read in.
-- Times are milliseconds since 1970-01-01 UTC; words are the codes of trade-core's enums; ids compare by bytes, whatever
-- the language of the database. Columns of fixed width stand first, so that none is padded.
--
-- Rows that change often leave room on their page for the next version of themselves, which then needs no new entry in
-- any index.

-- Where the log ends. Every commit changes it, and so waits for the one before.
CREATE TABLE tn_head (
    one SMALLINT CONSTRAINT tn_head_pkey PRIMARY KEY CONSTRAINT tn_head_one_range CHECK (one = 1),
    sequence BIGINT NOT NULL CONSTRAINT tn_head_sequence_range CHECK (sequence >= 0),
    time BIGINT NOT NULL,
    -- The newest version of the program that has brought the schema up to date: an older one writes nothing more.
    format SMALLINT NOT NULL
);

INSERT INTO tn_head (one, sequence, time, format) VALUES (1, 0, 0, 1);

-- One row a step: the sequence of its last event, and the step as `Step::encode` writes it.
CREATE TABLE tn_log (
    last BIGINT CONSTRAINT tn_log_pkey PRIMARY KEY CONSTRAINT tn_log_last_range CHECK (last > 0),
    record BYTEA NOT NULL
);

-- The last sequence of every millisecond in which something was committed. Time never runs backwards along the log, so
-- a span of time is a span of sequences, and no list needs an index by time.
CREATE TABLE tn_moment (
    time BIGINT CONSTRAINT tn_moment_pkey PRIMARY KEY,
    last BIGINT NOT NULL CONSTRAINT tn_moment_last_range CHECK (last > 0)
);

CREATE TABLE tn_station (
    sequence BIGINT CONSTRAINT tn_station_pkey PRIMARY KEY CONSTRAINT tn_station_sequence_range CHECK (sequence > 0),
    item_count BIGINT NOT NULL CONSTRAINT tn_station_item_count_range CHECK (item_count >= 0),
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CONSTRAINT tn_station_version_range CHECK (version > 0),
    id TEXT COLLATE "C" NOT NULL CONSTRAINT tn_station_id_key UNIQUE
        CONSTRAINT tn_station_id_range CHECK (length(id) BETWEEN 1 AND 128),
    name TEXT,
    -- Up to 2^53 for each of any number of items: past 64 bits, so decimal digits.
    on_hand_total TEXT NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE tn_stock (
    station BIGINT NOT NULL CONSTRAINT tn_stock_station_range CHECK (station > 0),
    on_hand BIGINT NOT NULL CONSTRAINT tn_stock_on_hand_range CHECK (on_hand >= 0),
    reserved BIGINT NOT NULL CONSTRAINT tn_stock_reserved_range CHECK (reserved BETWEEN 0 AND on_hand),
    incoming BIGINT NOT NULL CONSTRAINT tn_stock_incoming_range CHECK (incoming >= 0),
    item TEXT COLLATE "C" NOT NULL CONSTRAINT tn_stock_item_range CHECK (length(item) BETWEEN 1 AND 128),
    CONSTRAINT tn_stock_pkey PRIMARY KEY (station, item),
    CONSTRAINT tn_stock_sum_range CHECK (on_hand <= 9007199254740991 AND incoming <= 9007199254740991 - on_hand)
) WITH (fillfactor = 50);

CREATE TABLE tn_trade (
    sequence BIGINT CONSTRAINT tn_trade_pkey PRIMARY KEY CONSTRAINT tn_trade_sequence_range CHECK (sequence > 0),
    buyer BIGINT NOT NULL CONSTRAINT tn_trade_buyer_range CHECK (buyer > 0),
    seller BIGINT NOT NULL CONSTRAINT tn_trade_seller_range CHECK (seller > 0),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CONSTRAINT tn_trade_version_range CHECK (version > 0),
    -- The shipment made with it, where that repeats nothing of its trade.
    cargo BIGINT CONSTRAINT tn_trade_cargo_range CHECK (cargo > 0),
    -- The event that tells what moved at once, where that repeats neither seller nor buyer.
    moved BIGINT CONSTRAINT tn_trade_moved_range CHECK (moved > 0),
    expires_at BIGINT,
    settlement SMALLINT NOT NULL CONSTRAINT tn_trade_settlement_range CHECK (settlement BETWEEN 0 AND 1),
    status SMALLINT NOT NULL CONSTRAINT tn_trade_status_range CHECK (status BETWEEN 0 AND 3),
    id TEXT COLLATE "C" NOT NULL CONSTRAINT tn_trade_id_key UNIQUE
        CONSTRAINT tn_trade_id_range CHECK (length(id) BETWEEN 1 AND 119),
    item_lines TEXT NOT NULL,
    CONSTRAINT tn_trade_ends_differ CHECK (buyer <> seller)
);

CREATE INDEX tn_trade_by_buyer ON tn_trade (buyer, settlement, sequence);
CREATE INDEX tn_trade_by_seller ON tn_trade (seller, settlement, sequence);
CREATE INDEX tn_trade_by_status ON tn_trade (status, sequence);

CREATE TABLE tn_trade_item (
    sequence BIGINT NOT NULL CONSTRAINT tn_trade_item_sequence_range CHECK (sequence > 0),
    item TEXT COLLATE "C" NOT NULL,
    CONSTRAINT tn_trade_item_pkey PRIMARY KEY (item, sequence)
);

-- The shipment that is made with a trade is named by it, and repeats nothing of it (id, origin, destination and lines are
-- null), so its lists by origin and destination are walks of the trade's indexes. Any other has these four columns; a
-- transfer has no trade.
CREATE TABLE tn_cargo (
    sequence BIGINT CONSTRAINT tn_cargo_pkey PRIMARY KEY CONSTRAINT tn_cargo_sequence_range CHECK (sequence > 0),
    trade BIGINT CONSTRAINT tn_cargo_trade_range CHECK (trade < sequence),
    origin BIGINT CONSTRAINT tn_cargo_origin_range CHECK (origin > 0),
    destination BIGINT CONSTRAINT tn_cargo_destination_range CHECK (destination > 0),
    eta BIGINT NOT NULL,
    requested_eta BIGINT,
    -- The trade's, so that one index answers which pending shipments have run out of time.
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CONSTRAINT tn_cargo_version_range CHECK (version > 0),
    status SMALLINT NOT NULL CONSTRAINT tn_cargo_status_range CHECK (status BETWEEN 0 AND 5),
    id TEXT COLLATE "C" CONSTRAINT tn_cargo_id_range CHECK (length(id) BETWEEN 1 AND 128),
    item_lines TEXT,
    location TEXT,
    CONSTRAINT tn_cargo_own_all_or_none CHECK ((id IS NULL) = (origin IS NULL) AND (id IS NULL) = (destination IS NULL)
        AND (id IS NULL) = (item_lines IS NULL)),
    CONSTRAINT tn_cargo_of_itself_or_trade CHECK (id IS NOT NULL OR trade IS NOT NULL)
);

CREATE UNIQUE INDEX tn_cargo_by_id ON tn_cargo (id) WHERE id IS NOT NULL;
CREATE INDEX tn_cargo_by_origin ON tn_cargo (origin, sequence) WHERE origin IS NOT NULL;
CREATE INDEX tn_cargo_by_destination ON tn_cargo (destination, sequence) WHERE destination IS NOT NULL;
CREATE INDEX tn_cargo_by_status ON tn_cargo (status, sequence);
CREATE INDEX tn_cargo_by_expiry ON tn_cargo (expires_at) WHERE status = 0 AND expires_at IS NOT NULL;

-- The events about a shipment after the one that made it.
CREATE TABLE tn_cargo_history (
    cargo BIGINT NOT NULL CONSTRAINT tn_cargo_history_cargo_range CHECK (cargo > 0),
    sequence BIGINT NOT NULL CONSTRAINT tn_cargo_history_sequence_range CHECK (sequence > cargo),
    CONSTRAINT tn_cargo_history_pkey PRIMARY KEY (cargo, sequence)
);

-- Double entry. A place is the sequence of a station; 0 is transit, -1 the world.
-- What a trade of immediate settlement moves at once is told by an event that the trade names. Such a row repeats neither
-- seller nor buyer (both places are null), so its lists by station are walks of the trade's indexes, and no row of a
-- trade needs a page of its own in an index of this table.
CREATE TABLE tn_ledger (
    sequence BIGINT NOT NULL CONSTRAINT tn_ledger_sequence_range CHECK (sequence > 0),
    time BIGINT NOT NULL,
    quantity BIGINT NOT NULL CONSTRAINT tn_ledger_quantity_range CHECK (quantity BETWEEN 1 AND 9007199254740991),
    from_place BIGINT CONSTRAINT tn_ledger_from_place_range CHECK (from_place >= -1),
    to_place BIGINT CONSTRAINT tn_ledger_to_place_range CHECK (to_place >= -1),
    cargo BIGINT CONSTRAINT tn_ledger_cargo_range CHECK (cargo > 0),
    -- The station that lists what leaves and enters none.
    listed_at BIGINT CONSTRAINT tn_ledger_listed_at_range CHECK (listed_at > 0),
    place INTEGER NOT NULL CONSTRAINT tn_ledger_place_range CHECK (place >= 0),
    reason SMALLINT NOT NULL CONSTRAINT tn_ledger_reason_range CHECK (reason >= 0),
    item TEXT COLLATE "C" NOT NULL,
    CONSTRAINT tn_ledger_pkey PRIMARY KEY (sequence, place),
    CONSTRAINT tn_ledger_places_differ CHECK (from_place <> to_place),
    CONSTRAINT tn_ledger_places_both_or_none CHECK ((from_place IS NULL) = (to_place IS NULL)),
    CONSTRAINT tn_ledger_places_or_cargo CHECK (from_place IS NOT NULL OR cargo IS NOT NULL)
);

CREATE INDEX tn_ledger_by_origin ON tn_ledger (from_place, sequence, place) WHERE from_place > 0;
CREATE INDEX tn_ledger_by_destination ON tn_ledger (to_place, sequence, place) WHERE to_place > 0;
CREATE INDEX tn_ledger_by_list ON tn_ledger (listed_at, sequence, place) WHERE listed_at > 0;

-- One row a request that was applied, with where its steps stand in the log. A long answer goes on in further rows.
CREATE TABLE tn_receipt (
    time BIGINT NOT NULL,
    request BYTEA CONSTRAINT tn_receipt_pkey PRIMARY KEY CONSTRAINT tn_receipt_request_range CHECK (length(request) = 16),
    fingerprint BYTEA NOT NULL CONSTRAINT tn_receipt_fingerprint_range CHECK (length(fingerprint) = 16),
    first BIGINT,
    last BIGINT,
    answer BYTEA,
    CONSTRAINT tn_receipt_steps_range CHECK ((first IS NULL) = (last IS NULL) AND (first IS NULL OR first <= last))
);

CREATE INDEX tn_receipt_by_time ON tn_receipt (time);
