-- Which ones is settled before any is changed: as a subquery in FROM it may be run once for each row of `send`, and then takes others
-- each time, beyond its limit.
WITH due AS MATERIALIZED (
  SELECT message_id FROM send WHERE bucket = $5 AND tenant_id = $1 AND due_time <= now() ORDER BY due_time LIMIT $4 FOR UPDATE SKIP LOCKED
)
UPDATE send SET due_time = now() + make_interval(secs => $3), token = token + 1, holder = $2
WHERE tenant_id = $1 AND message_id = ANY (ARRAY(SELECT due.message_id FROM due))
RETURNING message_id, token, recipients, attempts, doubts, begun, rule_id, run_id, depth
