-- The oldest ones past $1 days, at most $2.
WITH due AS (
  SELECT tenant_id, id FROM delivery WHERE create_time < now() - make_interval(days => $1::int) ORDER BY create_time LIMIT $2::int
), gone AS (
  DELETE FROM delivery d USING due WHERE d.tenant_id = due.tenant_id AND d.id = due.id RETURNING 1
)
SELECT count(*) FROM gone
