-- Parts of a run that several processes share, each with who claimed it and for which attempt.
CREATE TABLE chunks (
    work    TEXT NOT NULL,
    number  INTEGER NOT NULL,
    owner   TEXT NOT NULL,
    attempt TEXT NOT NULL,
    done    INTEGER NOT NULL,
    PRIMARY KEY (work, number)
) WITHOUT ROWID;
