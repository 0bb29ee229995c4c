-- $1 a user. The calendars that count, nearest first: the user's, the teams' upwards, the organisation's.
WITH RECURSIVE up AS (
  SELECT t.team_id, t.parent_id, 1 AS step FROM person_view p JOIN team_view t ON t.team_id = p.team_id
  WHERE p.user_id = $1 AND NOT t.deleted
  UNION ALL
  SELECT t.team_id, t.parent_id, up.step + 1 FROM up JOIN team_view t ON t.team_id = up.parent_id
  WHERE up.step < 20 AND NOT t.deleted
)
SELECT c.id, coalesce(up.step, CASE WHEN c.is_default THEN 100 ELSE 0 END) AS layer
FROM calendar_view c LEFT JOIN up ON up.team_id = c.team_id
WHERE c.delete_time IS NULL AND (c.user_id = $1 OR up.team_id IS NOT NULL OR c.is_default)
ORDER BY layer
