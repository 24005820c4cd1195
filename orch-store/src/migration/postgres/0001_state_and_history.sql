CREATE TABLE lease (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    cluster TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE namespace (name TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE node (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE credential (node TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE service (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE service_revision (
    service TEXT NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (service, version)
);
CREATE TABLE task (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE deployment (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE receipt (
    subject TEXT NOT NULL,
    action TEXT NOT NULL,
    namespace TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (subject, action, namespace, idempotency_key)
);

-- Ordered by the transaction and the place in it.
CREATE TABLE event (
    revision BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    namespace TEXT,
    related_type TEXT,
    related_id TEXT,
    doc TEXT NOT NULL,
    PRIMARY KEY (revision, ordinal)
);
CREATE INDEX event_at ON event (at);
CREATE INDEX event_kind ON event (kind, revision, ordinal);
CREATE INDEX event_related ON event (related_id, revision, ordinal) WHERE related_id IS NOT NULL;

CREATE TABLE audit (
    revision BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    namespace TEXT,
    actor_type TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (revision, ordinal)
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor_id, revision, ordinal);
CREATE INDEX audit_action ON audit (action, revision, ordinal);
CREATE INDEX audit_target ON audit (target_id, revision, ordinal);
