-- The tables of a trade network.
--
-- What is made by an event is keyed by that event's sequence, so that "newest first" is the order of the primary key,
-- new rows go to the end of the table, and every index ends in the order that lists are read in.
-- Times are milliseconds since 1970-01-01 UTC; words are the codes of trade-core's enums; ids compare by bytes.
--
-- A statement that changes tables is a transaction by itself: each of these may be run again where the one after it
-- failed. A check beside a column names no other column, which MySQL would refuse.

-- Where the log ends. Its lock is taken first by every commit, and held to its end.
CREATE TABLE IF NOT EXISTS tn_head (
    one TINYINT NOT NULL PRIMARY KEY CHECK (one = 1),
    sequence BIGINT NOT NULL CHECK (sequence >= 0),
    time BIGINT NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO tn_head (one, sequence, time) VALUES (1, 0, 0);

-- One row a step: the sequence of its last event, and the step as `Step::encode` writes it.
CREATE TABLE IF NOT EXISTS tn_log (
    last BIGINT NOT NULL PRIMARY KEY CHECK (last > 0),
    record LONGBLOB NOT NULL
) ENGINE = InnoDB;

-- The last sequence of every millisecond in which something was committed. Time never runs backwards along the log, so
-- a span of time is a span of sequences, and no list needs an index by time.
CREATE TABLE IF NOT EXISTS tn_moment (
    time BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL CHECK (last > 0)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_station (
    sequence BIGINT NOT NULL PRIMARY KEY CHECK (sequence > 0),
    id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
    name VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    -- Up to 2^53 for each of any number of items: past 64 bits, so decimal digits.
    on_hand_total VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    item_count BIGINT NOT NULL CHECK (item_count >= 0),
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_stock (
    station BIGINT NOT NULL CHECK (station > 0),
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL CHECK (length(item) BETWEEN 1 AND 128),
    on_hand BIGINT NOT NULL CHECK (on_hand >= 0),
    reserved BIGINT NOT NULL,
    incoming BIGINT NOT NULL CHECK (incoming >= 0),
    PRIMARY KEY (station, item),
    CHECK (reserved BETWEEN 0 AND on_hand),
    CHECK (on_hand <= 9007199254740991 AND incoming <= 9007199254740991 - on_hand)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_trade (
    sequence BIGINT NOT NULL PRIMARY KEY CHECK (sequence > 0),
    id VARCHAR(119) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 119),
    buyer BIGINT NOT NULL CHECK (buyer > 0),
    seller BIGINT NOT NULL CHECK (seller > 0),
    item_lines MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    settlement TINYINT NOT NULL CHECK (settlement BETWEEN 0 AND 1),
    status TINYINT NOT NULL CHECK (status BETWEEN 0 AND 3),
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    CHECK (buyer <> seller),
    INDEX tn_trade_by_buyer (buyer, settlement, sequence),
    INDEX tn_trade_by_seller (seller, settlement, sequence),
    INDEX tn_trade_by_status (status, sequence)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS tn_trade_item (
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (item, sequence)
) ENGINE = InnoDB;

-- A trade and its shipment are made by one step, as neighbours in the log: the shipment of the trade at sequence N is
-- the row at N + 1. It repeats nothing of its trade (id, origin, destination and lines are null), so its lists by
-- origin and destination are walks of the trade's indexes. A transfer has these four columns, and no trade.
CREATE TABLE IF NOT EXISTS tn_cargo (
    sequence BIGINT NOT NULL PRIMARY KEY CHECK (sequence > 0),
    trade BIGINT,
    id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
    origin BIGINT CHECK (origin > 0),
    destination BIGINT CHECK (destination > 0),
    item_lines MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin,
    status TINYINT NOT NULL CHECK (status BETWEEN 0 AND 5),
    eta BIGINT NOT NULL,
    requested_eta BIGINT,
    location VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    -- The trade's, so that one index answers which pending shipments have run out of time.
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    CHECK (trade < sequence),
    CHECK ((id IS NULL) = (origin IS NULL) AND (id IS NULL) = (destination IS NULL)
        AND (id IS NULL) = (item_lines IS NULL)),
    CHECK (id IS NOT NULL OR (trade IS NOT NULL AND trade = sequence - 1)),
    INDEX tn_cargo_by_origin (origin, sequence),
    INDEX tn_cargo_by_destination (destination, sequence),
    INDEX tn_cargo_by_status (status, sequence),
    INDEX tn_cargo_by_expiry (status, expires_at)
) ENGINE = InnoDB;

-- The events about a shipment after the one that made it.
CREATE TABLE IF NOT EXISTS tn_cargo_history (
    cargo BIGINT NOT NULL CHECK (cargo > 0),
    sequence BIGINT NOT NULL,
    PRIMARY KEY (cargo, sequence),
    CHECK (sequence > cargo)
) ENGINE = InnoDB;

-- Double entry. A place is the sequence of a station; 0 is transit, -1 the world.
-- What a trade of immediate settlement moves is told by the step that makes it, two sequences after the trade. Such a row
-- repeats neither seller nor buyer (both places are null), so its lists by station are walks of the trade's indexes,
-- and no row of a trade needs a page of its own in an index of this table.
CREATE TABLE IF NOT EXISTS tn_ledger (
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    place INT NOT NULL CHECK (place >= 0),
    time BIGINT NOT NULL,
    item VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 9007199254740991),
    from_place BIGINT CHECK (from_place >= -1),
    to_place BIGINT CHECK (to_place >= -1),
    reason TINYINT NOT NULL CHECK (reason >= 0),
    cargo BIGINT CHECK (cargo > 0),
    -- The station that lists what leaves and enters none.
    listed_at BIGINT CHECK (listed_at > 0),
    PRIMARY KEY (sequence, place),
    CHECK (from_place <> to_place),
    CHECK ((from_place IS NULL) = (to_place IS NULL)),
    CHECK (from_place IS NOT NULL OR (cargo IS NOT NULL AND cargo = sequence - 1)),
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
    CHECK ((first IS NULL) = (last IS NULL) AND (first IS NULL OR first <= last)),
    INDEX tn_receipt_by_time (time)
) ENGINE = InnoDB;
