-- Metadata of trades, shipments and stations: names and texts, as JSON. What was asked for when a shipment was made is kept
-- beside it where it was changed since, as JSON that may be null.
--
-- Older versions of the program write nothing more.

UPDATE tn_head SET format = 2 WHERE one = 1;

ALTER TABLE tn_station ADD COLUMN metadata TEXT;
ALTER TABLE tn_trade ADD COLUMN metadata TEXT;
ALTER TABLE tn_cargo ADD COLUMN metadata TEXT;
ALTER TABLE tn_cargo ADD COLUMN requested_metadata TEXT;
