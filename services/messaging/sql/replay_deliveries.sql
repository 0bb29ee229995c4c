UPDATE delivery SET revision = revision + 1, status = 1, attempt_count = 0, next_attempt_time = $3, error = '', update_time = $3
WHERE tenant_id = $1 AND id = ANY($2) AND status = 3
RETURNING 1
