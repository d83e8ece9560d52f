-- Readers take less than before: the state of optimizers, schedulers and random generators is left out,
-- in every format. No layout that an older version has read is relied on: a checkpoint whose state_key
-- is not known (NULL) is read again (0002), and keeps its id and its labels.
UPDATE checkpoints SET state_key = NULL WHERE state_key IS NOT NULL;
-- Why checkpoints with such tensors can be chosen but not averaged, in words; '' for those that can.
ALTER TABLE layouts ADD COLUMN unfit TEXT NOT NULL DEFAULT '';
