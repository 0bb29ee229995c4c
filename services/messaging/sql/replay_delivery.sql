UPDATE delivery SET revision = revision + 1, status = 1, attempt_count = 0, next_attempt_time = now(), error = '', update_time = now()
WHERE tenant_id = $1 AND id = $2 AND status <> 1
RETURNING 1
