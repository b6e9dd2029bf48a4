-- The tables of a trade network.
--
-- What is made by an event is keyed by that event's sequence, so that "newest first" is the order of the primary key,
-- new rows go to the end of the table, and every index ends in the order that lists are read in.
-- Times are milliseconds since 1970-01-01 UTC; words are the codes of trade-core's enums; ids compare by bytes.
--
-- A statement that changes tables is a transaction by itself: each of these may be run again where the one after it
-- failed. Every check has a name, and so
-- stands behind the columns: MariaDB names none that stands beside one.

-- Where the log ends. Its lock is taken first by every commit, and held to its end.
CREATE TABLE IF NOT EXISTS tn_head (
    one TINYINT NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    time BIGINT NOT NULL,
    -- The newest version of the program that has brought the schema up to date: an older one writes nothing more.
    format SMALLINT NOT NULL,
    CONSTRAINT tn_head_one_range CHECK (one = 1),
    CONSTRAINT tn_head_sequence_range CHECK (sequence >= 0)
) ENGINE = InnoDB;

INSERT IGNORE INTO tn_head (one, sequence, time, format) VALUES (1, 0, 0, 1);

-- One row a step: the sequence of its last event, and the step as `Step::encode` writes it.
CREATE TABLE IF NOT EXISTS tn_log (
    last BIGINT NOT NULL PRIMARY KEY,
    record LONGBLOB NOT NULL,
    CONSTRAINT tn_log_last_range CHECK (last > 0)
) ENGINE = InnoDB;

-- The last sequence of every millisecond in which something was committed. Time never runs backwards along the log, so
-- a span of time is a span of sequences, and no list needs an index by time.
CREATE TABLE IF NOT EXISTS tn_moment (
    time BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL,
    CONSTRAINT tn_moment_last_range CHECK (last > 0)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_station (
    sequence BIGINT NOT NULL PRIMARY KEY,
    id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    -- Up to 2^53 for each of any number of items: past 64 bits, so decimal digits.
    on_hand_total VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    item_count BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT tn_station_sequence_range CHECK (sequence > 0),
    CONSTRAINT tn_station_id_range CHECK (length(id) BETWEEN 1 AND 128),
    CONSTRAINT tn_station_id_key UNIQUE (id),
    CONSTRAINT tn_station_item_count_range CHECK (item_count >= 0),
    CONSTRAINT tn_station_version_range CHECK (version > 0)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_stock (
    station BIGINT NOT NULL,
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    on_hand BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    incoming BIGINT NOT NULL,
    CONSTRAINT tn_stock_station_range CHECK (station > 0),
    CONSTRAINT tn_stock_item_range CHECK (length(item) BETWEEN 1 AND 128),
    CONSTRAINT tn_stock_on_hand_range CHECK (on_hand >= 0),
    CONSTRAINT tn_stock_incoming_range CHECK (incoming >= 0),
    PRIMARY KEY (station, item),
    CONSTRAINT tn_stock_reserved_range CHECK (reserved BETWEEN 0 AND on_hand),
    CONSTRAINT tn_stock_sum_range CHECK (on_hand <= 9007199254740991 AND incoming <= 9007199254740991 - on_hand)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_trade (
    sequence BIGINT NOT NULL PRIMARY KEY,
    id VARCHAR(119) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    buyer BIGINT NOT NULL,
    seller BIGINT NOT NULL,
    item_lines MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    settlement TINYINT NOT NULL,
    status TINYINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- The shipment made with it, where that repeats nothing of its trade.
    cargo BIGINT,
    -- The event that tells what moved at once, where that repeats neither seller nor buyer.
    moved BIGINT,
    CONSTRAINT tn_trade_sequence_range CHECK (sequence > 0),
    CONSTRAINT tn_trade_id_range CHECK (length(id) BETWEEN 1 AND 119),
    CONSTRAINT tn_trade_id_key UNIQUE (id),
    CONSTRAINT tn_trade_buyer_range CHECK (buyer > 0),
    CONSTRAINT tn_trade_seller_range CHECK (seller > 0),
    CONSTRAINT tn_trade_settlement_range CHECK (settlement BETWEEN 0 AND 1),
    CONSTRAINT tn_trade_status_range CHECK (status BETWEEN 0 AND 3),
    CONSTRAINT tn_trade_version_range CHECK (version > 0),
    CONSTRAINT tn_trade_cargo_range CHECK (cargo > 0),
    CONSTRAINT tn_trade_moved_range CHECK (moved > 0),
    CONSTRAINT tn_trade_ends_differ CHECK (buyer <> seller),
    INDEX tn_trade_by_buyer (buyer, settlement, sequence),
    INDEX tn_trade_by_seller (seller, settlement, sequence),
    INDEX tn_trade_by_status (status, sequence)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_trade_item (
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sequence BIGINT NOT NULL,
    CONSTRAINT tn_trade_item_sequence_range CHECK (sequence > 0),
    PRIMARY KEY (item, sequence)
) ENGINE = InnoDB;

-- The shipment that is made with a trade is named by it, and repeats nothing of it (id, origin, destination and lines are
-- null), so its lists by origin and destination are walks of the trade's indexes. Any other has these four columns; a
-- transfer has no trade.
CREATE TABLE IF NOT EXISTS tn_cargo (
    sequence BIGINT NOT NULL PRIMARY KEY,
    trade BIGINT,
    id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin,
    origin BIGINT,
    destination BIGINT,
    item_lines MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin,
    status TINYINT NOT NULL,
    eta BIGINT NOT NULL,
    requested_eta BIGINT,
    location VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    -- The trade's, so that one index answers which pending shipments have run out of time.
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT tn_cargo_sequence_range CHECK (sequence > 0),
    CONSTRAINT tn_cargo_id_range CHECK (length(id) BETWEEN 1 AND 128),
    CONSTRAINT tn_cargo_id_key UNIQUE (id),
    CONSTRAINT tn_cargo_origin_range CHECK (origin > 0),
    CONSTRAINT tn_cargo_destination_range CHECK (destination > 0),
    CONSTRAINT tn_cargo_status_range CHECK (status BETWEEN 0 AND 5),
    CONSTRAINT tn_cargo_version_range CHECK (version > 0),
    CONSTRAINT tn_cargo_trade_range CHECK (trade < sequence),
    CONSTRAINT tn_cargo_own_all_or_none CHECK ((id IS NULL) = (origin IS NULL) AND (id IS NULL) = (destination IS NULL)
        AND (id IS NULL) = (item_lines IS NULL)),
    CONSTRAINT tn_cargo_of_itself_or_trade CHECK (id IS NOT NULL OR trade IS NOT NULL),
    INDEX tn_cargo_by_origin (origin, sequence),
    INDEX tn_cargo_by_destination (destination, sequence),
    INDEX tn_cargo_by_status (status, sequence),
    INDEX tn_cargo_by_expiry (status, expires_at)
) ENGINE = InnoDB;

-- The events about a shipment after the one that made it.
CREATE TABLE IF NOT EXISTS tn_cargo_history (
    cargo BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    CONSTRAINT tn_cargo_history_cargo_range CHECK (cargo > 0),
    PRIMARY KEY (cargo, sequence),
    CONSTRAINT tn_cargo_history_sequence_range CHECK (sequence > cargo)
) ENGINE = InnoDB;

-- Double entry. A place is the sequence of a station; 0 is transit, -1 the world.
-- What a trade of immediate settlement moves at once is told by an event that the trade names. Such a row repeats neither
-- seller nor buyer (both places are null), so its lists by station are walks of the trade's indexes, and no row of a
-- trade needs a page of its own in an index of this table.
CREATE TABLE IF NOT EXISTS tn_ledger (
    sequence BIGINT NOT NULL,
    place INT NOT NULL,
    time BIGINT NOT NULL,
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quantity BIGINT NOT NULL,
    from_place BIGINT,
    to_place BIGINT,
    reason TINYINT NOT NULL,
    cargo BIGINT,
    -- The station that lists what leaves and enters none.
    listed_at BIGINT,
    CONSTRAINT tn_ledger_sequence_range CHECK (sequence > 0),
    CONSTRAINT tn_ledger_place_range CHECK (place >= 0),
    CONSTRAINT tn_ledger_quantity_range CHECK (quantity BETWEEN 1 AND 9007199254740991),
    CONSTRAINT tn_ledger_from_place_range CHECK (from_place >= -1),
    CONSTRAINT tn_ledger_to_place_range CHECK (to_place >= -1),
    CONSTRAINT tn_ledger_reason_range CHECK (reason >= 0),
    CONSTRAINT tn_ledger_cargo_range CHECK (cargo > 0),
    CONSTRAINT tn_ledger_listed_at_range CHECK (listed_at > 0),
    PRIMARY KEY (sequence, place),
    CONSTRAINT tn_ledger_places_differ CHECK (from_place <> to_place),
    CONSTRAINT tn_ledger_places_both_or_none CHECK ((from_place IS NULL) = (to_place IS NULL)),
    CONSTRAINT tn_ledger_places_or_cargo CHECK (from_place IS NOT NULL OR cargo IS NOT NULL),
    INDEX tn_ledger_by_origin (from_place, sequence, place),
    INDEX tn_ledger_by_destination (to_place, sequence, place),
    INDEX tn_ledger_by_list (listed_at, sequence, place)
) ENGINE = InnoDB;

-- One row a request that was applied, with where its steps stand in the log. A long answer goes on in further rows.
CREATE TABLE IF NOT EXISTS tn_receipt (
    request BINARY(16) NOT NULL PRIMARY KEY,
    fingerprint BINARY(16) NOT NULL,
    time BIGINT NOT NULL,
    first BIGINT,
    last BIGINT,
    answer LONGBLOB,
    CONSTRAINT tn_receipt_steps_range CHECK ((first IS NULL) = (last IS NULL) AND (first IS NULL OR first <= last)),
    INDEX tn_receipt_by_time (time)
) ENGINE = InnoDB;
