-- What is set aside in a budget: the sum of the rests of the open allocations in it.
ALTER TABLE purses ADD COLUMN
    allocated_nano INTEGER NOT NULL DEFAULT 0 CHECK (allocated_nano >= 0);
ALTER TABLE purses ADD COLUMN
    allocated_tokens INTEGER NOT NULL DEFAULT 0 CHECK (allocated_tokens >= 0);

-- When a process last said that it is there, on the boot's clock.
ALTER TABLE owners ADD COLUMN renewed INTEGER NOT NULL DEFAULT 0;

-- `observed`: NULL for a call that was held to its limits, '' for an observed one that nothing
-- would have held back, else what would have. `request_id`: the call in the provider's records.
ALTER TABLE reservations ADD COLUMN observed TEXT;
ALTER TABLE reservations ADD COLUMN request_id TEXT;
-- Calls are looked through from an instant on, or from the newest back.
CREATE INDEX reservations_created ON reservations (created_wall);

-- A part of a chain of budgets. `within` is a JSON list of [account, label], nearest first.
CREATE TABLE allocations (
    key     TEXT PRIMARY KEY,
    label   TEXT NOT NULL,
    within  TEXT NOT NULL,
    "group" TEXT,
    elastic INTEGER NOT NULL,
    owner   TEXT,
    closed  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX allocations_group ON allocations ("group") WHERE closed = 0;
CREATE INDEX allocations_owner ON allocations (owner) WHERE closed = 0;

-- What was told of an account's window, so that it is told once.
CREATE TABLE marks (
    subject  TEXT NOT NULL,
    "window" TEXT NOT NULL,
    name     TEXT NOT NULL,
    value    INTEGER NOT NULL,
    PRIMARY KEY (subject, "window", name)
) WITHOUT ROWID;

-- Kept until they were told as events. `payload` is a JSON object.
CREATE TABLE notices (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    name     TEXT NOT NULL,
    "window" TEXT NOT NULL,
    payload  TEXT NOT NULL,
    wall     INTEGER NOT NULL
);

-- What people changed by hand or by evidence. Never removed.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    "by"     TEXT NOT NULL,
    reason   TEXT NOT NULL,
    evidence TEXT,
    "before" TEXT NOT NULL,
    "after"  TEXT NOT NULL,
    wall     INTEGER NOT NULL
);
CREATE INDEX audit_subject ON audit (subject);

-- What settled calls have taught of a model, as `Learned.to_text` writes it.
CREATE TABLE learned (
    model  TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;
