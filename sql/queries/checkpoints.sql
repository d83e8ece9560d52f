-- Tables checkpoints, checkpoint_labels, checkpoint_metrics, layouts.
-- part: columns
id, uid, run_id, file, step, step_reason, state, reason_code, reason, evidence, format, size,
       mtime_ns, header_digest, layout_id, metadata, sha256, labels, metrics, pinned, discovered_ms,
       completed_ms, updated_ms, state_key, step_unit
-- part: columns_of_c
c.id, c.uid, c.run_id, c.file, c.step, c.step_reason, c.state, c.reason_code, c.reason,
       c.evidence, c.format, c.size, c.mtime_ns, c.header_digest, c.layout_id, c.metadata,
       c.sha256, c.labels, c.metrics, c.pinned, c.discovered_ms, c.completed_ms,
       c.updated_ms, c.state_key, c.step_unit
-- part: filters
  AND (:state IS NULL OR state = :state)
  AND (:min_step IS NULL OR step >= :min_step) AND (:max_step IS NULL OR step <= :max_step)
  AND (:label_key IS NULL OR EXISTS (
        SELECT 1 FROM checkpoint_labels l
        WHERE l.checkpoint_id = id AND l.key = :label_key
          AND (:label_value IS NULL OR l.value = :label_value)))
-- part: filters_of_c
  AND (:state IS NULL OR c.state = :state)
  AND (:min_step IS NULL OR c.step >= :min_step) AND (:max_step IS NULL OR c.step <= :max_step)
  AND (:label_key IS NULL OR EXISTS (
        SELECT 1 FROM checkpoint_labels l
        WHERE l.checkpoint_id = c.id AND l.key = :label_key
          AND (:label_value IS NULL OR l.value = :label_value)))
-- name: checkpoint_insert
INSERT INTO checkpoints (uid, run_id, file, step, step_unit, step_reason, state, reason_code, reason,
                         evidence, format, size, mtime_ns, header_digest, layout_id, metadata,
                         state_key, discovered_ms, completed_ms, updated_ms)
VALUES (:uid, :run_id, :file, :step, :step_unit, :step_reason, :state, :reason_code, :reason,
        :evidence, :format, :size, :mtime_ns, :header_digest, :layout_id, :metadata, :state_key,
        :discovered_ms, :completed_ms, :updated_ms);
-- name: checkpoint_update
UPDATE checkpoints
SET step = :step, step_unit = :step_unit, step_reason = :step_reason, state = :state,
    reason_code = :reason_code, reason = :reason, evidence = :evidence, format = :format,
    size = :size, mtime_ns = :mtime_ns, header_digest = :header_digest, layout_id = :layout_id,
    metadata = :metadata, state_key = :state_key, completed_ms = :completed_ms,
    updated_ms = :updated_ms
WHERE id = :id;
-- name: checkpoint_set_state
UPDATE checkpoints SET state = :state, updated_ms = :now_ms WHERE id = :id;
-- A row keeps its identity (file, size, time, header): what was read of it is what is not valid.
-- name: checkpoint_read_again
UPDATE checkpoints
SET state = 'incomplete', reason_code = :reason_code, reason = :reason, evidence = '{}',
    layout_id = NULL, state_key = NULL, completed_ms = NULL, updated_ms = :now_ms
WHERE run_id = :run_id AND state = 'complete' AND state_key IS NOT :state_key;
-- name: checkpoint_read_again_events
INSERT INTO events (at_ms, kind, subject)
SELECT :now_ms, 'checkpoint.incomplete', uid FROM checkpoints
WHERE run_id = :run_id AND state = 'complete' AND state_key IS NOT :state_key;
-- name: checkpoint_set_labels
UPDATE checkpoints SET labels = :labels, updated_ms = :now_ms WHERE id = :id;
-- name: checkpoint_set_metrics
UPDATE checkpoints SET metrics = :metrics, updated_ms = :now_ms WHERE id = :id;
-- name: checkpoint_set_pinned
UPDATE checkpoints SET pinned = :pinned, updated_ms = :now_ms WHERE id = :id;
-- name: checkpoint_set_sha256
UPDATE checkpoints SET sha256 = :sha256 WHERE id = :id;
-- name: checkpoint_by_uid
SELECT {columns}
FROM checkpoints WHERE uid = :uid;
-- name: checkpoint_by_id
SELECT {columns}
FROM checkpoints WHERE id = :id;
-- name: checkpoint_live
SELECT {columns}
FROM checkpoints WHERE run_id = :run_id AND file = :file AND state IN ('incomplete', 'complete');
-- A file that came back exactly as it was is the checkpoint that it was.
-- name: checkpoint_former
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND state = 'gone' AND step_unit IS :step_unit AND step_order = :step_order
  AND file = :file AND size = :size AND mtime_ns = :mtime_ns AND header_digest IS NOT NULL
  AND (:header_digest IS NULL OR header_digest = :header_digest)
  AND (:state_key IS NULL OR state_key = :state_key)
ORDER BY id DESC LIMIT 1;
-- name: checkpoint_known
SELECT {columns}
FROM checkpoints WHERE run_id = :run_id AND state IN ('incomplete', 'complete');
-- name: checkpoint_candidates
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND state = 'complete' AND step_unit = :step_unit
  AND step_order BETWEEN :min_step AND :max_step
ORDER BY step_order DESC, id DESC LIMIT :limit;
-- The pages. A row value comparison is what lets SQLite start inside the index.
-- name: checkpoint_page_step_asc
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND (step_order, id) > (:after, :after_id)
{filters}
ORDER BY step_order ASC, id ASC LIMIT :limit;
-- name: checkpoint_page_step_desc
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND (step_order, id) < (:after, :after_id)
{filters}
ORDER BY step_order DESC, id DESC LIMIT :limit;
-- name: checkpoint_page_discovered_asc
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND (discovered_ms, id) > (:after, :after_id)
{filters}
ORDER BY discovered_ms ASC, id ASC LIMIT :limit;
-- name: checkpoint_page_discovered_desc
SELECT {columns}
FROM checkpoints
WHERE run_id = :run_id AND (discovered_ms, id) < (:after, :after_id)
{filters}
ORDER BY discovered_ms DESC, id DESC LIMIT :limit;
-- name: checkpoint_page_metric_asc
SELECT {columns_of_c}
FROM checkpoint_metrics m JOIN checkpoints c ON c.id = m.checkpoint_id
WHERE m.run_id = :run_id AND m.name = :metric AND (m.value, m.checkpoint_id) > (:after, :after_id)
{filters_of_c}
ORDER BY m.value ASC, m.checkpoint_id ASC LIMIT :limit;
-- name: checkpoint_page_metric_desc
SELECT {columns_of_c}
FROM checkpoint_metrics m JOIN checkpoints c ON c.id = m.checkpoint_id
WHERE m.run_id = :run_id AND m.name = :metric AND (m.value, m.checkpoint_id) < (:after, :after_id)
{filters_of_c}
ORDER BY m.value DESC, m.checkpoint_id DESC LIMIT :limit;
-- name: checkpoint_metric
SELECT value FROM checkpoint_metrics WHERE checkpoint_id = :id AND name = :name;
-- name: checkpoint_count_newer
SELECT count(*) FROM checkpoints
WHERE run_id = :run_id AND state = 'complete' AND step IS NOT NULL AND id > :id;
-- name: checkpoint_count
SELECT state, step_unit, count(*) FROM checkpoints WHERE run_id = :run_id GROUP BY state, step_unit;
-- name: checkpoint_without_step
SELECT file FROM checkpoints
WHERE run_id = :run_id AND state = 'complete' AND step_unit IS NULL LIMIT :limit;
-- The text is that of the row that was changed last (SQLite: bare columns beside max()).
-- name: checkpoint_incomplete
SELECT reason_code, reason, count(*), max(updated_ms) FROM checkpoints
WHERE run_id = :run_id AND state = 'incomplete' GROUP BY reason_code ORDER BY reason_code;
-- name: checkpoint_parts
SELECT count(*), min(file) FROM checkpoints
WHERE run_id = :run_id AND state = 'incomplete' AND reason_code = 'unsupported'
  AND substr(reason, 1, length(:beginning)) = :beginning;
-- name: checkpoint_count_all
SELECT state, count(*) FROM checkpoints GROUP BY state;
-- name: layout_insert
INSERT INTO layouts (digest, signature, tensors, tensor_count, data_bytes, float_elements, carried,
                     unfit)
VALUES (:digest, :signature, :tensors, :tensor_count, :data_bytes, :float_elements, :carried, :unfit);
-- name: layout_by_digest
SELECT id FROM layouts WHERE digest = :digest;
-- The table is the same, but an older version may have judged it otherwise.
-- name: layout_set_unfit
UPDATE layouts SET unfit = :unfit WHERE id = :id AND unfit <> :unfit;
-- name: layout_by_id
SELECT id, signature, tensor_count, data_bytes, float_elements, carried, unfit,
       CASE WHEN :with_tensors THEN tensors END
FROM layouts WHERE id = :id;
