-- API keys. They stand beside the log, and are no part of it.
--
-- Older versions of the program write nothing more.

UPDATE tn_head SET format = 3 WHERE one = 1;

-- A key as `ApiKey::encode` writes it. When it was used last is noted without a version more.
CREATE TABLE tn_api_key (
    version BIGINT NOT NULL CONSTRAINT tn_api_key_version_range CHECK (version > 0),
    used_at BIGINT,
    id TEXT COLLATE "C" CONSTRAINT tn_api_key_pkey PRIMARY KEY
        CONSTRAINT tn_api_key_id_range CHECK (length(id) = 12),
    record BYTEA NOT NULL
) WITH (fillfactor = 50);
