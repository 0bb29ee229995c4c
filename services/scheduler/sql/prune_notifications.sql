-- Read more than $1 days ago, by users who say nothing else; at most $2.
WITH due AS (
  SELECT tenant_id, id FROM notification n
  WHERE read_time < now() - make_interval(days => $1::int)
    AND NOT EXISTS (SELECT 1 FROM notification_preferences p WHERE p.tenant_id = n.tenant_id AND p.user_id = n.owner_id AND p.keep_days > 0)
  ORDER BY read_time LIMIT $2::int
), gone AS (
  DELETE FROM notification n USING due WHERE n.tenant_id = due.tenant_id AND n.id = due.id RETURNING 1
)
SELECT count(*) FROM gone
