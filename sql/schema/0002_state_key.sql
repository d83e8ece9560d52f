-- The state_key that a layout was read with: when that of the run changes, what was read with another
-- one is read again. Checkpoints of safetensors are read in the same way whatever it is; of others,
-- which key they were read with is not known any more (NULL), so they are read again once.
ALTER TABLE checkpoints ADD COLUMN state_key TEXT;
UPDATE checkpoints SET state_key = (SELECT r.state_key FROM runs r WHERE r.id = checkpoints.run_id)
WHERE layout_id IS NOT NULL AND format = 'safetensors';
