-- Old replies are found by walking the table (common/app/housekeeping.h), which needs no index: once the room of deleted rows is
-- used again, the BRIN's ranges only widen and it finds nothing any more.
DROP INDEX idempotency_create_time;
