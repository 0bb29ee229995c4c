UPDATE send s SET due_time = now() + make_interval(secs => $3), token = s.token + 1, holder = $2
FROM (SELECT message_id FROM send WHERE tenant_id = $1 AND due_time <= now() ORDER BY due_time LIMIT $4 FOR UPDATE SKIP LOCKED) AS due
WHERE s.tenant_id = $1 AND s.message_id = due.message_id
RETURNING s.message_id, s.token, s.recipients, s.attempts, s.doubts, s.begun, s.rule_id, s.run_id, s.depth
