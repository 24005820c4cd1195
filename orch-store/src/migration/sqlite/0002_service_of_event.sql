-- The service that an event concerns: the one it is about, the one that its details name, or the one of its task.
ALTER TABLE event ADD COLUMN service_id TEXT;
UPDATE event SET service_id = COALESCE(
    CASE WHEN related_type = 'service' THEN related_id END,
    CASE WHEN json_valid(doc) THEN json_extract(doc, '$.details.service_id') END,
    CASE WHEN related_type = 'task' THEN (
        SELECT CASE WHEN json_valid(task.doc) THEN json_extract(task.doc, '$.service') END
        FROM task WHERE task.id = event.related_id
    ) END
);
CREATE INDEX event_service ON event (service_id, revision, ordinal) WHERE service_id IS NOT NULL;
