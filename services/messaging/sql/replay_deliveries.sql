-- Given up since $3, at most so many that one request is done in time.
UPDATE delivery SET revision = revision + 1, status = 1, attempt_count = 0, next_attempt_time = now(), error = '', update_time = now()
WHERE tenant_id = $1 AND id IN (
  SELECT id FROM delivery WHERE tenant_id = $1 AND webhook_id = $2 AND status = 3 AND event_time >= $3 ORDER BY create_time LIMIT 10000)
RETURNING 1
