-- The service that an event concerns: the one it is about, the one that its details name, or the one of its task.
-- Found by pattern: PostgreSQL's JSON functions refuse a document with an escaped NUL anywhere in it. Quotes inside a text
-- are escaped, so that no text can look like a name.
ALTER TABLE event ADD COLUMN service_id TEXT;
UPDATE event SET service_id = COALESCE(
    CASE WHEN related_type = 'service' THEN related_id END,
    substring(doc FROM '"service_id":"([0-9a-f-]{36})"'),
    CASE WHEN related_type = 'task' THEN (
        SELECT substring(task.doc FROM '"service":"([0-9a-f-]{36})"') FROM task WHERE task.id = event.related_id
    ) END
);
CREATE INDEX event_service ON event (service_id, revision, ordinal) WHERE service_id IS NOT NULL;
