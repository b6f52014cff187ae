-- Money is nano-dollars, instants are nanoseconds: `*_wall` of the wall clock, others of the
-- boot's clock (rates and liveness), which `meta.boot_id` names.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- A budget. `version` orders the documents it came from; `last_label` keeps its window from
-- going back.
CREATE TABLE accounts (
    key            TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    ceiling_nano   INTEGER,
    ceiling_tokens INTEGER,
    "window"       TEXT NOT NULL,
    time_zone      TEXT NOT NULL,
    version        TEXT NOT NULL,
    last_label     TEXT
) WITHOUT ROWID;

-- A budget in one window.
CREATE TABLE purses (
    account            TEXT NOT NULL,
    label              TEXT NOT NULL,
    spent_nano         INTEGER NOT NULL CHECK (spent_nano >= 0),
    unconfirmed_nano   INTEGER NOT NULL CHECK (unconfirmed_nano >= 0),
    reserved_nano      INTEGER NOT NULL CHECK (reserved_nano >= 0),
    spent_tokens       INTEGER NOT NULL CHECK (spent_tokens >= 0),
    unconfirmed_tokens INTEGER NOT NULL CHECK (unconfirmed_tokens >= 0),
    reserved_tokens    INTEGER NOT NULL CHECK (reserved_tokens >= 0),
    PRIMARY KEY (account, label)
) WITHOUT ROWID;

-- A limit. `meters` is a JSON list of {rate, taken}, one for each rate.
CREATE TABLE limits (
    key            TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    max_concurrent INTEGER,
    server_limit   INTEGER,
    leased         INTEGER NOT NULL,
    in_flight      INTEGER NOT NULL CHECK (in_flight >= 0),
    max_in_flight  INTEGER NOT NULL,
    throttled      INTEGER NOT NULL,
    hold_until     INTEGER NOT NULL,
    meters         TEXT NOT NULL
) WITHOUT ROWID;

-- Slots of a limit that are leased from Prefect, for all processes together.
CREATE TABLE leases (
    lease_id     TEXT PRIMARY KEY,
    limit_key    TEXT NOT NULL,
    server_id    TEXT NOT NULL,
    slots        INTEGER NOT NULL CHECK (slots > 0),
    usable_until INTEGER NOT NULL
) WITHOUT ROWID;

-- A process that spends. Its death is told by its lock, never by its age.
CREATE TABLE owners (
    owner        TEXT PRIMARY KEY,
    pid          INTEGER NOT NULL,
    boot_id      TEXT NOT NULL,
    started_wall INTEGER NOT NULL
) WITHOUT ROWID;

-- What each process has waiting under a limit, so that one of them can lease for all.
CREATE TABLE waiting (
    owner     TEXT NOT NULL,
    limit_key TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    PRIMARY KEY (owner, limit_key)
) WITHOUT ROWID;

-- Since when each process's first call waits for a thing that is short, and when it last said so:
-- between processes, whoever has waited longest is next.
CREATE TABLE heads (
    owner    TEXT NOT NULL,
    resource TEXT NOT NULL,
    since    INTEGER NOT NULL,
    said     INTEGER NOT NULL,
    PRIMARY KEY (owner, resource)
) WITHOUT ROWID;

-- A call, from its admission on. `accounts` is a JSON list of [account, label], `gates` of
-- [limit, counters].
CREATE TABLE reservations (
    call_id             TEXT PRIMARY KEY,
    owner               TEXT NOT NULL,
    state               TEXT NOT NULL
        CHECK (state IN ('reserved', 'spent', 'released', 'unconfirmed')),
    reason              TEXT,
    bound_nano          INTEGER NOT NULL,
    bound_input_tokens  INTEGER NOT NULL,
    bound_output_tokens INTEGER NOT NULL,
    spent_nano          INTEGER,
    input_tokens        INTEGER,
    output_tokens       INTEGER,
    cached_input_tokens INTEGER,
    accounts            TEXT NOT NULL,
    gates               TEXT NOT NULL,
    created_wall        INTEGER NOT NULL,
    resolved_wall       INTEGER,
    flow                TEXT,
    deployment          TEXT,
    flow_run_id         TEXT,
    task                TEXT,
    task_run_id         TEXT,
    tags                TEXT NOT NULL,
    model               TEXT,
    user                TEXT,
    label               TEXT,
    run_id              TEXT,
    item                TEXT
);
CREATE INDEX reservations_open ON reservations (owner) WHERE state = 'reserved';
CREATE INDEX reservations_unconfirmed ON reservations (created_wall) WHERE state = 'unconfirmed';
CREATE INDEX reservations_flow_run ON reservations (flow_run_id, task_run_id);
CREATE INDEX reservations_run ON reservations (run_id, item);

-- Replies kept so that nothing is paid for twice, written by the settle's own transaction.
CREATE TABLE replies (
    run_id       TEXT NOT NULL,
    item         TEXT NOT NULL,
    call_index   INTEGER NOT NULL,
    request_hash TEXT NOT NULL,
    content_type TEXT NOT NULL,
    body         BLOB NOT NULL,
    PRIMARY KEY (run_id, item, call_index, request_hash)
);

-- Items that finished, by run, key and the hash of all that went in.
CREATE TABLE items (
    run_id     TEXT NOT NULL,
    key        TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    record     TEXT NOT NULL,
    PRIMARY KEY (run_id, key, input_hash)
);
