-- Money is nano-dollars, instants are nanoseconds: `*_wall` of the server's wall clock, others of
-- the ledger's own, which never goes back (see `clock`). All in the ledger's schema.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value text NOT NULL
);

-- One row: how many transactions wrote, the latest instant that one of them saw, and how far the
-- ledger's clock is ahead of the server's since that one was set back.
CREATE TABLE clock (
    version bigint NOT NULL,
    latest  bigint NOT NULL,
    ahead   bigint NOT NULL
);
INSERT INTO clock (version, latest, ahead) VALUES (0, 0, 0);

-- One row: until when somebody wants to be told of what is written.
CREATE TABLE listeners (
    until timestamptz NOT NULL
);
INSERT INTO listeners (until) VALUES ('-infinity');

-- A budget. `version` orders the documents it came from; `last_label` keeps its window from
-- going back.
CREATE TABLE accounts (
    key            text PRIMARY KEY,
    name           text NOT NULL,
    ceiling_nano   bigint,
    ceiling_tokens bigint,
    "window"       text NOT NULL,
    time_zone      text NOT NULL,
    version        text NOT NULL,
    last_label     text
);

-- A budget in one window.
CREATE TABLE purses (
    account            text NOT NULL,
    label              text NOT NULL,
    spent_nano         bigint NOT NULL CHECK (spent_nano >= 0),
    unconfirmed_nano   bigint NOT NULL CHECK (unconfirmed_nano >= 0),
    reserved_nano      bigint NOT NULL CHECK (reserved_nano >= 0),
    allocated_nano     bigint NOT NULL CHECK (allocated_nano >= 0),
    spent_tokens       bigint NOT NULL CHECK (spent_tokens >= 0),
    unconfirmed_tokens bigint NOT NULL CHECK (unconfirmed_tokens >= 0),
    reserved_tokens    bigint NOT NULL CHECK (reserved_tokens >= 0),
    allocated_tokens   bigint NOT NULL CHECK (allocated_tokens >= 0),
    PRIMARY KEY (account, label)
) WITH (fillfactor = 50);

-- A part of a chain of budgets, set aside for one consumer; its money stands in an account and a
-- purse of the same key. `within` is a JSON list of [account, label].
CREATE TABLE allocations (
    key     text PRIMARY KEY,
    label   text NOT NULL,
    within  jsonb NOT NULL,
    "group" text,
    elastic boolean NOT NULL,
    owner   text,
    closed  boolean NOT NULL
);
CREATE INDEX allocations_group ON allocations ("group") WHERE NOT closed;
CREATE INDEX allocations_owner ON allocations (owner) WHERE NOT closed;

-- A limit. `meters` is a JSON list of [rate, taken], one for each rate.
CREATE TABLE limits (
    key            text PRIMARY KEY,
    name           text NOT NULL,
    max_concurrent bigint,
    server_limit   bigint,
    leased         boolean NOT NULL,
    in_flight      bigint NOT NULL CHECK (in_flight >= 0),
    max_in_flight  bigint NOT NULL,
    throttled      bigint NOT NULL,
    hold_until     bigint NOT NULL,
    meters         text NOT NULL
) WITH (fillfactor = 50);

-- Slots of a limit that are leased from Prefect, for all processes together.
CREATE TABLE leases (
    lease_id     text PRIMARY KEY,
    limit_key    text NOT NULL,
    server_id    text NOT NULL,
    slots        bigint NOT NULL CHECK (slots > 0),
    usable_until bigint NOT NULL
);

-- A process that spends. Its death is told by its session's lock; `renewed` is when it last said
-- that it is there.
CREATE TABLE owners (
    owner        text PRIMARY KEY,
    pid          bigint NOT NULL,
    renewed      bigint NOT NULL,
    started_wall bigint NOT NULL
) WITH (fillfactor = 50);

-- What each process has waiting under a limit, so that one of them can lease for all.
CREATE TABLE waiting (
    owner     text NOT NULL,
    limit_key text NOT NULL,
    calls     bigint NOT NULL,
    PRIMARY KEY (owner, limit_key)
);

-- Since when each process's first call waits for a thing that is short, and when it last said so:
-- between processes, whoever has waited longest is next.
CREATE TABLE heads (
    owner    text NOT NULL,
    resource text NOT NULL,
    since    bigint NOT NULL,
    said     bigint NOT NULL,
    PRIMARY KEY (owner, resource)
);

-- A call, from its admission on. `accounts` is a JSON list of [account, label], `gates` of
-- [limit, counters]. `observed`: NULL for a call that was held to its limits, '' for an observed one
-- that nothing would have held back, else what would have. `request_id`: the call in the provider's
-- records.
CREATE TABLE reservations (
    call_id             text PRIMARY KEY,
    owner               text NOT NULL,
    state               text NOT NULL
        CHECK (state IN ('reserved', 'spent', 'released', 'unconfirmed')),
    reason              text,
    observed            text,
    request_id          text,
    bound_nano          bigint NOT NULL,
    bound_input_tokens  bigint NOT NULL,
    bound_output_tokens bigint NOT NULL,
    spent_nano          bigint,
    input_tokens        bigint,
    output_tokens       bigint,
    cached_input_tokens bigint,
    accounts            jsonb NOT NULL,
    gates               jsonb NOT NULL,
    created_wall        bigint NOT NULL,
    resolved_wall       bigint,
    flow                text,
    deployment          text,
    flow_run_id         text,
    task                text,
    task_run_id         text,
    tags                jsonb NOT NULL,
    model               text,
    "user"              text,
    label               text,
    run_id              text,
    item                text,
    seq                 bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX reservations_open ON reservations (owner) WHERE state = 'reserved';
CREATE INDEX reservations_unconfirmed ON reservations (created_wall) WHERE state = 'unconfirmed';
CREATE INDEX reservations_created ON reservations (created_wall);
CREATE INDEX reservations_flow_run ON reservations (flow_run_id, task_run_id);
CREATE INDEX reservations_run ON reservations (run_id, item);

-- What settled calls have taught of a model, as JSON.
CREATE TABLE learned (
    model  text PRIMARY KEY,
    record text NOT NULL
);

-- What was told of an account's window, so that it is told once.
CREATE TABLE marks (
    subject  text NOT NULL,
    "window" text NOT NULL,
    name     text NOT NULL,
    value    bigint NOT NULL,
    PRIMARY KEY (subject, "window", name)
);

-- What people may want to act on, until it was told as an event.
CREATE TABLE notices (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL,
    subject   text NOT NULL,
    name      text NOT NULL,
    "window"  text NOT NULL,
    payload   text NOT NULL,
    wall      bigint NOT NULL
);

-- What people changed by hand or by evidence. Never removed.
CREATE TABLE audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action   text NOT NULL,
    subject  text NOT NULL,
    by       text NOT NULL,
    reason   text NOT NULL,
    evidence text,
    before   text NOT NULL,
    after    text NOT NULL,
    wall     bigint NOT NULL
);
CREATE INDEX audit_subject ON audit (subject);

-- Replies kept so that nothing is paid for twice, written by the settle's own transaction.
CREATE TABLE replies (
    run_id       text NOT NULL,
    item         text NOT NULL,
    call_index   bigint NOT NULL,
    request_hash text NOT NULL,
    content_type text NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (run_id, item, call_index, request_hash)
);

-- Items that finished, by run, key and the hash of all that went in.
CREATE TABLE items (
    run_id     text NOT NULL,
    key        text NOT NULL,
    input_hash text NOT NULL,
    record     text NOT NULL,
    PRIMARY KEY (run_id, key, input_hash)
);
