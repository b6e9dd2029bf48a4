-- Metadata of trades, shipments and stations: names and texts, as JSON. What was asked for when a shipment was made is kept
-- beside it where it was changed since, as JSON that may be null.
--
-- Each of these may be run again where the one after it failed: a column that is there already counts as added. Older
-- versions of the program go on beside the new columns, and write nothing more from the last statement on.

ALTER TABLE tn_station ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE tn_trade ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE tn_cargo ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE tn_cargo ADD COLUMN requested_metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
UPDATE tn_head SET format = 2 WHERE one = 1;
