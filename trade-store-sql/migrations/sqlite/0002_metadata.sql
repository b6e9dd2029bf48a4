-- Metadata of trades, shipments and stations: names and texts, as JSON.
--
-- First of all, older versions of the program write nothing more.

UPDATE tn_head SET format = 2 WHERE one = 1;

ALTER TABLE tn_station ADD COLUMN metadata TEXT;
ALTER TABLE tn_trade ADD COLUMN metadata TEXT;
ALTER TABLE tn_cargo ADD COLUMN metadata TEXT;
