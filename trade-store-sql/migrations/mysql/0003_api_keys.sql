-- API keys. They stand beside the log, and are no part of it.
--
-- Each of these may be run again where the one after it failed. Older versions of the program write nothing more from the
-- last statement on.

-- A key as `ApiKey::encode` writes it. When it was used last is noted without a version more.
CREATE TABLE IF NOT EXISTS tn_api_key (
    id VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    used_at BIGINT,
    record MEDIUMBLOB NOT NULL,
    CONSTRAINT tn_api_key_id_range CHECK (length(id) = 12),
    CONSTRAINT tn_api_key_version_range CHECK (version > 0)
) ENGINE = InnoDB;

UPDATE tn_head SET format = 3 WHERE one = 1;
