-- Tables jobs, job_labels, job_candidates, trace, leases, workers, artifacts.
-- part: columns
id, uid, run_id, run_name, method, state, reason_code, reason, request, plan, labels, result,
       iteration, iterations, evaluations, evaluations_total, retry_of, candidate_newest, created_ms,
       started_ms, finished_ms, version
-- part: label_filter
  AND (:label_key IS NULL OR EXISTS (
        SELECT 1 FROM job_labels l
        WHERE l.job_id = jobs.id AND l.key = :label_key
          AND (:label_value IS NULL OR l.value = :label_value)))
-- Of the newest jobs that went well (in a run, or in all): what is further back says little, and its
-- JSON is not read.
-- part: newest
state = 'succeeded' AND (:run_id IS NULL OR run_id = :run_id)
  AND id >= ifnull((SELECT id FROM jobs
                    WHERE state = 'succeeded' AND (:run_id IS NULL OR run_id = :run_id)
                    ORDER BY id DESC LIMIT 1 OFFSET :newest - 1), 0)
-- name: job_insert
INSERT INTO jobs (uid, run_id, run_name, method, state, request, plan, labels, iterations,
                  evaluations_total, retry_of, candidate_newest, created_ms)
VALUES (:uid, :run_id, :run_name, :method, 'queued', :request, :plan, :labels, :iterations,
        :evaluations_total, :retry_of, :candidate_newest, :created_ms);
-- name: job_candidate_insert
INSERT INTO job_candidates (job_id, position, checkpoint_id)
VALUES (:job_id, :position, :checkpoint_id);
-- name: job_by_uid
SELECT {columns}
FROM jobs WHERE uid = :uid;
-- name: job_by_id
SELECT {columns}
FROM jobs WHERE id = :id;
-- name: job_unfinished
SELECT {columns}
FROM jobs WHERE state IN ('queued', 'starting', 'running', 'publishing', 'cancelling') ORDER BY id;
-- Newest first. One statement for each filter that has an index of its own.
-- name: job_page
SELECT {columns}
FROM jobs
WHERE id < :before AND created_ms > :created_after
{label_filter}
ORDER BY id DESC LIMIT :limit;
-- name: job_page_of_state
SELECT {columns}
FROM jobs
WHERE state = :state AND id < :before AND created_ms > :created_after
  AND (:run_id IS NULL OR run_id = :run_id)
{label_filter}
ORDER BY id DESC LIMIT :limit;
-- name: job_page_of_run
SELECT {columns}
FROM jobs
WHERE run_id = :run_id AND id < :before AND created_ms > :created_after
{label_filter}
ORDER BY id DESC LIMIT :limit;
-- name: job_state
SELECT state FROM jobs WHERE uid = :uid;
-- name: job_set_state
UPDATE jobs
SET state = :state, reason_code = :reason_code, reason = :reason,
    started_ms = coalesce(:started_ms, started_ms), finished_ms = coalesce(:finished_ms, finished_ms),
    version = version + 1
WHERE id = :id;
-- name: job_save_runner
UPDATE jobs
SET runner = :runner, iteration = :iteration, iterations = :iterations, evaluations = :evaluations,
    evaluations_total = :evaluations_total, version = version + 1
WHERE id = :id;
-- name: job_load_runner
SELECT runner FROM jobs WHERE id = :id;
-- name: job_set_result
UPDATE jobs SET result = :result, version = version + 1 WHERE id = :id;
-- name: job_delete
DELETE FROM jobs WHERE id = :id;
-- name: job_last_success
SELECT candidate_newest FROM jobs
WHERE run_id = :run_id AND state = 'succeeded' AND method = :method
ORDER BY id DESC LIMIT 1;
-- The plan, which is most of a row, stays where it is. Buffers were recalibrated once for the verdict,
-- and once more for the file when they were published.
-- name: job_seconds_each
SELECT json_extract(result, '$.cost.seconds') * 1.0 /
       iif(:evaluator IS NULL, json_extract(result, '$.cost.bytes_read'),
           json_extract(result, '$.cost.evaluations')
           + (json_type(result, '$.recalibrated') IS 'object')
           + (json_extract(result, '$.buffers') IS 'recalibrated'))
       AS seconds_each
FROM jobs
WHERE {newest}
  AND json_extract(request, '$.evaluator') IS :evaluator AND seconds_each > 0
ORDER BY id DESC LIMIT 1;
-- name: job_recalibrates
SELECT json_extract(runner, '$.traits.recalibrates') AS recalibrates
FROM jobs
WHERE {newest}
  AND json_extract(request, '$.evaluator') = :evaluator AND recalibrates IS NOT NULL
ORDER BY id DESC LIMIT 1;
-- name: job_count
SELECT state, count(*) FROM jobs GROUP BY state;
-- name: trace_put
INSERT INTO trace (job_id, iteration, loss, temperature, learning_rate, dropped, probabilities)
VALUES (:job_id, :iteration, :loss, :temperature, :learning_rate, :dropped, :probabilities);
-- A stride of 0 gives NULL, and the last row alone.
-- name: trace_list
SELECT iteration, loss, temperature, learning_rate, dropped, probabilities
FROM trace
WHERE job_id = :job_id
  AND (iteration % :stride = 0
       OR iteration = (SELECT max(iteration) FROM trace WHERE job_id = :job_id))
ORDER BY iteration;
-- name: trace_count
SELECT count(*) FROM trace WHERE job_id = :job_id;
-- name: lease_put
INSERT INTO leases (job_id, task, attempt, failures, worker, granted_ms)
VALUES (:job_id, :task, :attempt, :failures, :worker, :granted_ms)
ON CONFLICT (job_id, task)
DO UPDATE SET attempt = :attempt, failures = :failures, worker = :worker, granted_ms = :granted_ms;
-- name: lease_list
SELECT task, attempt, failures, worker, granted_ms FROM leases WHERE job_id = :job_id ORDER BY task;
-- name: lease_delete_below
DELETE FROM leases WHERE job_id = :job_id AND task < :task;
-- name: worker_put
INSERT INTO workers (uid, job_id, token_hash, pid, start_ticks, slot, started_ms)
VALUES (:uid, :job_id, :token_hash, :pid, :start_ticks, :slot, :started_ms);
-- name: worker_delete
DELETE FROM workers WHERE uid = :uid;
-- name: worker_list
SELECT uid, job_id, token_hash, pid, start_ticks, slot, started_ms FROM workers WHERE job_id = :job_id;
-- name: artifact_put
INSERT INTO artifacts (uid, job_id, name, size, sha256, media_type, created_ms)
VALUES (:uid, :job_id, :name, :size, :sha256, :media_type, :created_ms)
ON CONFLICT (job_id, name)
DO UPDATE SET size = :size, sha256 = :sha256, media_type = :media_type, created_ms = :created_ms;
-- name: artifact_list
SELECT id, uid, name, size, sha256, media_type, created_ms
FROM artifacts WHERE job_id = :job_id ORDER BY name;
-- name: artifact_find
SELECT id, uid, name, size, sha256, media_type, created_ms
FROM artifacts WHERE job_id = :job_id AND name = :name;
