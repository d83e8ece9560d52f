-- The first schema. All tables are STRICT: SQLite would otherwise accept "INTERGER PRIMARY KEY" and
-- hand out NULL ids. Times are milliseconds since 1970 (UTC), digests 32 bytes, ids in the API (uid) a
-- prefix and a ULID. JSON columns hold canonical text (sorted keys).

-- A training run: one directory that sewad watches.
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    uid        TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL UNIQUE,
    origin     TEXT    NOT NULL CHECK (origin IN ('configuration', 'root', 'api')),
    watched    INTEGER NOT NULL CHECK (watched IN (0, 1)), -- 0: left the configuration, index kept
    path       BLOB    NOT NULL,                           -- bytes, as the file system has them
    pattern    TEXT    NOT NULL DEFAULT '',
    state_key  TEXT    NOT NULL DEFAULT '',
    marker     TEXT    NOT NULL DEFAULT '',
    settle_ms  INTEGER NOT NULL,
    labels     TEXT    NOT NULL DEFAULT '{}',
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- Tensor tables. The checkpoints of a run nearly always share one, so it is stored once.
CREATE TABLE layouts (
    id             INTEGER PRIMARY KEY,
    digest         BLOB    NOT NULL UNIQUE, -- SHA-256 of tensors
    signature      BLOB    NOT NULL,        -- SHA-256 of names, types and shapes, whatever their order
    tensors        BLOB    NOT NULL,        -- layout_encode()
    tensor_count   INTEGER NOT NULL,
    data_bytes     INTEGER NOT NULL,
    float_elements INTEGER NOT NULL,
    carried        TEXT    NOT NULL DEFAULT '' -- a tensor whose type cannot be averaged, in words
) STRICT;

-- One row per identity of a file: a rewritten file gets a new row and the old one becomes 'changed'.
CREATE TABLE checkpoints (
    id            INTEGER PRIMARY KEY,
    uid           TEXT    NOT NULL UNIQUE,
    run_id        INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    file          BLOB    NOT NULL, -- relative to the run's directory
    step          INTEGER,
    step_reason   TEXT    NOT NULL DEFAULT '', -- why there is no step
    state         TEXT    NOT NULL CHECK (state IN ('incomplete', 'complete', 'changed', 'gone')),
    reason_code   TEXT    NOT NULL DEFAULT '', -- why it is incomplete
    reason        TEXT    NOT NULL DEFAULT '',
    evidence      TEXT    NOT NULL DEFAULT '{}', -- which rule admitted it, and what was seen
    format        TEXT    NOT NULL DEFAULT '',
    size          INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    header_digest BLOB,
    layout_id     INTEGER REFERENCES layouts (id),
    metadata      TEXT    NOT NULL DEFAULT '{}',
    sha256        BLOB,
    labels        TEXT    NOT NULL DEFAULT '{}',
    metrics       TEXT    NOT NULL DEFAULT '{}',
    pinned        INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    discovered_ms INTEGER NOT NULL,
    completed_ms  INTEGER,
    updated_ms    INTEGER NOT NULL,
    step_order    INTEGER GENERATED ALWAYS AS (coalesce(step, -1)) VIRTUAL,
    CHECK (state <> 'complete' OR (layout_id IS NOT NULL AND header_digest IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX checkpoints_live ON checkpoints (run_id, file)
    WHERE state IN ('incomplete', 'complete');
CREATE INDEX checkpoints_by_step ON checkpoints (run_id, step_order, id);
CREATE INDEX checkpoints_by_time ON checkpoints (run_id, discovered_ms, id);
CREATE INDEX checkpoints_by_state ON checkpoints (run_id, state, step_order, id);
CREATE INDEX checkpoints_by_layout ON checkpoints (layout_id);

-- Derived from the JSON columns by the triggers below, so that filters and orders have an index.
CREATE TABLE checkpoint_labels (
    checkpoint_id INTEGER NOT NULL REFERENCES checkpoints (id) ON DELETE CASCADE,
    key           TEXT    NOT NULL,
    value         TEXT    NOT NULL,
    PRIMARY KEY (checkpoint_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint_metrics (
    run_id        INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    value         REAL    NOT NULL,
    checkpoint_id INTEGER NOT NULL REFERENCES checkpoints (id) ON DELETE CASCADE,
    PRIMARY KEY (run_id, name, value, checkpoint_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX checkpoint_metrics_of ON checkpoint_metrics (checkpoint_id);

CREATE TRIGGER checkpoint_labels_update AFTER UPDATE OF labels ON checkpoints
BEGIN
    DELETE FROM checkpoint_labels WHERE checkpoint_id = NEW.id;
    INSERT INTO checkpoint_labels (checkpoint_id, key, value)
        SELECT NEW.id, key, value FROM json_each(NEW.labels);
END;
CREATE TRIGGER checkpoint_metrics_update AFTER UPDATE OF metrics ON checkpoints
BEGIN
    DELETE FROM checkpoint_metrics WHERE checkpoint_id = NEW.id;
    INSERT INTO checkpoint_metrics (run_id, name, value, checkpoint_id)
        SELECT NEW.run_id, key, CAST(value AS REAL), NEW.id FROM json_each(NEW.metrics)
        WHERE type IN ('integer', 'real');
END;

-- A job and everything that it needs to go on after a crash.
CREATE TABLE jobs (
    id                INTEGER PRIMARY KEY,
    uid               TEXT    NOT NULL UNIQUE,
    run_id            INTEGER REFERENCES runs (id) ON DELETE SET NULL,
    run_name          TEXT    NOT NULL, -- stays readable when the run is deleted
    method            TEXT    NOT NULL,
    state             TEXT    NOT NULL CHECK (state IN ('queued', 'starting', 'running', 'publishing',
                                              'succeeded', 'failed', 'cancelling', 'cancelled')),
    reason_code       TEXT    NOT NULL DEFAULT '',
    reason            TEXT    NOT NULL DEFAULT '',
    request           TEXT    NOT NULL, -- what was asked for, defaults filled in
    plan              TEXT    NOT NULL, -- what it was resolved to: candidates with their identities
    labels            TEXT    NOT NULL DEFAULT '{}',
    runner            TEXT    NOT NULL DEFAULT '{}', -- state of the method and of what follows it
    result            TEXT, -- NULL until there is one
    iteration         INTEGER NOT NULL DEFAULT 0,
    iterations        INTEGER NOT NULL DEFAULT 0,
    evaluations       INTEGER NOT NULL DEFAULT 0,
    evaluations_total INTEGER NOT NULL DEFAULT 0,
    retry_of          TEXT,
    candidate_newest  INTEGER NOT NULL DEFAULT 0, -- id of the newest candidate's row
    created_ms        INTEGER NOT NULL,
    started_ms        INTEGER,
    finished_ms       INTEGER,
    version           INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_run ON jobs (run_id, id);

CREATE TABLE job_labels (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key    TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER job_labels_insert AFTER INSERT ON jobs
BEGIN
    INSERT INTO job_labels (job_id, key, value) SELECT NEW.id, key, value FROM json_each(NEW.labels);
END;

-- Which checkpoints a job reads: they are spared by deletion while it runs.
CREATE TABLE job_candidates (
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    checkpoint_id INTEGER NOT NULL,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_candidates_of ON job_candidates (checkpoint_id);

CREATE TABLE trace (
    job_id        INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    iteration     INTEGER NOT NULL,
    loss          REAL, -- NULL when it was not finite
    temperature   REAL,
    learning_rate REAL,
    dropped       INTEGER NOT NULL DEFAULT 0,
    probabilities BLOB    NOT NULL, -- float32, little endian, oldest candidate first
    PRIMARY KEY (job_id, iteration)
) STRICT, WITHOUT ROWID;

-- Tasks that were handed out. The attempt number is the fence: a result of an older one is refused.
CREATE TABLE leases (
    job_id      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    task        INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    failures    INTEGER NOT NULL, -- attempts that ended badly; the third ends the job
    worker      TEXT    NOT NULL,
    granted_ms  INTEGER NOT NULL,
    PRIMARY KEY (job_id, task)
) STRICT, WITHOUT ROWID;

-- Worker processes that were started, so that a restarted sewad knows which of them still live.
CREATE TABLE workers (
    uid         TEXT    PRIMARY KEY NOT NULL,
    job_id      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    token_hash  BLOB    NOT NULL UNIQUE, -- SHA-256 of the token that it presents
    pid         INTEGER NOT NULL,
    slot        INTEGER NOT NULL, -- which of the local slots (and devices) it occupies
    start_ticks INTEGER NOT NULL, -- field 22 of /proc/PID/stat: a pid alone may be somebody else's
    started_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX workers_by_job ON workers (job_id);

CREATE TABLE artifacts (
    id         INTEGER PRIMARY KEY,
    uid        TEXT    NOT NULL UNIQUE,
    job_id     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    sha256     BLOB    NOT NULL,
    media_type TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (job_id, name)
) STRICT;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    kind    TEXT    NOT NULL, -- job.created, job.state, checkpoint.complete, ...
    subject TEXT    NOT NULL, -- uid
    data    TEXT    NOT NULL DEFAULT '{}'
) STRICT;

-- Answers to requests with an Idempotency-Key, kept for a day.
CREATE TABLE idempotency (
    scope      TEXT    NOT NULL, -- method and path
    key        TEXT    NOT NULL,
    request    BLOB    NOT NULL, -- SHA-256 of the body
    status     INTEGER NOT NULL,
    location   TEXT    NOT NULL DEFAULT '',
    body       TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_ms);
