CREATE TABLE lease (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    cluster TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL
) STRICT;

CREATE TABLE namespace (name TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE node (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE credential (node TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE service (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE service_revision (
    service TEXT NOT NULL,
    version INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (service, version)
) STRICT;
CREATE TABLE task (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE deployment (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
CREATE TABLE receipt (
    subject TEXT NOT NULL,
    action TEXT NOT NULL,
    namespace TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (subject, action, namespace, idempotency_key)
) STRICT;

-- Clustered by the order of events, which is the order they are written and asked for in.
CREATE TABLE event (
    revision INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    namespace TEXT,
    related_type TEXT,
    related_id TEXT,
    doc TEXT NOT NULL,
    PRIMARY KEY (revision, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_at ON event (at);
CREATE INDEX event_kind ON event (kind, revision, ordinal);
CREATE INDEX event_related ON event (related_id, revision, ordinal) WHERE related_id IS NOT NULL;

CREATE TABLE audit (
    revision INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    at INTEGER NOT NULL,
    namespace TEXT,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (revision, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor_id, revision, ordinal);
CREATE INDEX audit_action ON audit (action, revision, ordinal);
CREATE INDEX audit_target ON audit (target_id, revision, ordinal);
