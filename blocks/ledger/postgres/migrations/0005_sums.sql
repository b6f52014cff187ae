-- Spent calls that are kept one by one no more, summed by the quarter of an hour in which they were
-- admitted and by whom they were for. `key` is a digest of what they have in common; `accounts` as
-- in `reservations`, without those of a single run.
CREATE TABLE sums (
    key                 text PRIMARY KEY,
    start_wall          bigint NOT NULL,
    accounts            jsonb NOT NULL,
    tags                jsonb NOT NULL,
    flow                text,
    deployment          text,
    task                text,
    model               text,
    "user"              text,
    label               text,
    calls               bigint NOT NULL,
    spent_nano          bigint NOT NULL CHECK (spent_nano >= 0),
    input_tokens        bigint NOT NULL,
    output_tokens       bigint NOT NULL,
    cached_input_tokens bigint NOT NULL
);
CREATE INDEX sums_start ON sums (start_wall);
-- The few calls that were only observed and that something would have held back.
CREATE INDEX reservations_observed ON reservations (created_wall) WHERE observed <> '';

-- This schema, and the oldest whose releases may spend beside it; see `migration`.
INSERT INTO meta (key, value) VALUES ('floor', '5 5')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
