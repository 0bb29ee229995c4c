-- Given up since $3, at most so many that one request is done in time.
SELECT id FROM delivery_view WHERE webhook_id = $1 AND status = 3 AND event_time >= $2 ORDER BY create_time LIMIT 10000
