-- Spent calls that are kept one by one no more, summed by the quarter of an hour in which they were
-- admitted and by whom they were for. `key` is a digest of what they have in common; `accounts` as
-- in `reservations`, without those of a single run.
CREATE TABLE sums (
    key                 TEXT PRIMARY KEY,
    start_wall          INTEGER NOT NULL,
    accounts            TEXT NOT NULL,
    tags                TEXT NOT NULL,
    flow                TEXT,
    deployment          TEXT,
    task                TEXT,
    model               TEXT,
    user                TEXT,
    label               TEXT,
    calls               INTEGER NOT NULL,
    spent_nano          INTEGER NOT NULL CHECK (spent_nano >= 0),
    input_tokens        INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sums_start ON sums (start_wall);
-- The few calls that were only observed and that something would have held back.
CREATE INDEX reservations_observed ON reservations (created_wall) WHERE observed <> '';

-- This schema, and the oldest whose releases may spend beside it; see `migration`.
INSERT OR REPLACE INTO meta (key, value) VALUES ('floor', '6 6');
