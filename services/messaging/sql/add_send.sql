-- A new row's token is the time in microseconds, so that no claim of a former sending of this message fits it.
INSERT INTO send (tenant_id, message_id, bucket, due_time, recipients, rule_id, run_id, depth, token)
VALUES ($1, $2, $3, greatest(now(), $4), $5, $6, $7, $8, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
