INSERT INTO send (tenant_id, message_id, bucket, due_time, recipients, rule_id, run_id, depth)
VALUES ($1, $2, $3, greatest(now(), $4), $5, $6, $7, $8)
