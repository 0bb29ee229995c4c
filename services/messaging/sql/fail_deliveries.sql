UPDATE delivery SET revision = revision + 1, status = 3, next_attempt_time = NULL, error = $3, update_time = now()
WHERE tenant_id = $1 AND webhook_id = $2 AND status = 1
