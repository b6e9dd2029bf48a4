-- By what servers seal what they tell each other: whoever may read the log may know it.
CREATE TABLE tn_secret (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    secret BYTEA NOT NULL CHECK (length(secret) = 32)
);
