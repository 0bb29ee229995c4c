-- Read longer ago than their user keeps them; at most $2. What was read then was made before: that is how they are found. ($1, the usual
-- days, is nothing to them.)
WITH due AS (
  SELECT n.tenant_id, n.id
  FROM (SELECT tenant_id, user_id, now() - make_interval(days => keep_days) AS until FROM notification_preferences WHERE keep_days > 0) p
  JOIN notification n ON n.tenant_id = p.tenant_id AND n.owner_id = p.user_id AND n.create_time < p.until AND n.read_time < p.until
  WHERE $1::int IS NOT NULL LIMIT $2::int
), gone AS (
  DELETE FROM notification n USING due WHERE n.tenant_id = due.tenant_id AND n.id = due.id RETURNING 1
)
SELECT count(*) FROM gone
