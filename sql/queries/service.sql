-- Tables events and idempotency.
-- name: event_put
INSERT INTO events (at_ms, kind, subject, data) VALUES (:at_ms, :kind, :subject, :data);
-- name: event_prune
DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - :keep;
-- name: idempotency_get
SELECT request, status, location, body FROM idempotency WHERE scope = :scope AND key = :key;
-- name: idempotency_put
INSERT INTO idempotency (scope, key, request, status, location, body, created_ms)
VALUES (:scope, :key, :request, :status, :location, :body, :created_ms)
ON CONFLICT (scope, key)
DO UPDATE SET request = :request, status = :status, location = :location, body = :body,
              created_ms = :created_ms;
-- name: idempotency_prune
DELETE FROM idempotency WHERE created_ms < :before_ms;
