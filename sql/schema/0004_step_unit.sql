-- What the step of a checkpoint counts, by its name: steps, epochs, or numbers that nothing says more
-- of. They are axes of their own: candidates of a job are looked for on one. Rows of before are steps
-- until the run is watched again, which reads their names anew.
ALTER TABLE checkpoints ADD COLUMN step_unit TEXT CHECK (step_unit IN ('step', 'epoch', 'number'));
UPDATE checkpoints SET step_unit = 'step' WHERE step IS NOT NULL;
DROP INDEX checkpoints_by_state;
CREATE INDEX checkpoints_by_state ON checkpoints (run_id, state, step_unit, step_order, id);
