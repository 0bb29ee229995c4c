-- Those that ended first, more than $1 days ago, at most $2, with their events.
WITH due AS (
  SELECT tenant_id, id FROM rule_run WHERE end_time < now() - make_interval(days => $1::int) AND NOT once ORDER BY end_time LIMIT $2::int
), events AS (
  DELETE FROM rule_run_event e USING due WHERE e.tenant_id = due.tenant_id AND e.run_id = due.id
), gone AS (
  DELETE FROM rule_run r USING due WHERE r.tenant_id = due.tenant_id AND r.id = due.id RETURNING 1
)
SELECT count(*) FROM gone
