-- Metadata of trades, shipments and stations: names and texts, as JSON.
--
-- First of all, older versions of the program write nothing more.
-- Each of these may be run again where the one after it failed: a column that is there already counts as added.

UPDATE tn_head SET format = 2 WHERE one = 1;

ALTER TABLE tn_station ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE tn_trade ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE tn_cargo ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
