-- Table runs.
-- part: columns
id, uid, name, origin, watched, path, pattern, state_key, marker, settle_ms, labels,
       created_ms, updated_ms
-- name: run_insert
INSERT INTO runs (uid, name, origin, watched, path, pattern, state_key, marker, settle_ms, labels,
                  created_ms, updated_ms)
VALUES (:uid, :name, :origin, :watched, :path, :pattern, :state_key, :marker, :settle_ms, :labels,
        :now_ms, :now_ms);
-- name: run_update
UPDATE runs SET origin = :origin, watched = :watched, path = :path, pattern = :pattern,
       state_key = :state_key, marker = :marker, settle_ms = :settle_ms, updated_ms = :now_ms
WHERE id = :id;
-- name: run_by_name
SELECT {columns}
FROM runs WHERE name = :name;
-- name: run_by_uid
SELECT {columns}
FROM runs WHERE uid = :uid;
-- name: run_by_id
SELECT {columns}
FROM runs WHERE id = :id;
-- name: run_list
SELECT {columns}
FROM runs WHERE name > :after ORDER BY name LIMIT :limit;
-- name: run_set_labels
UPDATE runs SET labels = :labels, updated_ms = :now_ms WHERE id = :id;
-- name: run_set_watched
UPDATE runs SET watched = :watched, updated_ms = :now_ms WHERE id = :id;
-- name: run_delete
DELETE FROM runs WHERE id = :id;
-- name: run_active_job
SELECT uid FROM jobs
WHERE run_id = :run_id AND state IN ('queued', 'starting', 'running', 'publishing', 'cancelling')
LIMIT 1;
