INSERT INTO delivery (tenant_id, id, revision, webhook_id, event_type, record_id, event_time, status, attempt_count, next_attempt_time,
  response_status, response_body, error, duration_ms, create_time, update_time, event)
VALUES ($1, $2, 1, $3, $4, $5, $6, 1, 0, now(), 0, '', '', 0, $6, $6, $7)
