-- Parts of a run that several processes share, each with who claimed it and for which attempt.
CREATE TABLE chunks (
    work    text NOT NULL,
    number  bigint NOT NULL,
    owner   text NOT NULL,
    attempt text NOT NULL,
    done    boolean NOT NULL,
    PRIMARY KEY (work, number)
);
