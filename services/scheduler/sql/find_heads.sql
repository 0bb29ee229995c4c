-- $1 a user. Those above, nearest first: the manager, or the head of the nearest team upwards that somebody else leads; then
-- the same for that head. Ten levels at most, so that a circle ends.
WITH RECURSIVE above AS (
  SELECT $1::uuid AS user_id, 0 AS level
  UNION ALL
  SELECT head.head_id, above.level + 1
  FROM above CROSS JOIN LATERAL (
    SELECT coalesce(p.manager_id, (
      WITH RECURSIVE up AS (
        SELECT t.team_id, t.parent_id, t.head_id, 0 AS step FROM team_view t WHERE t.team_id = p.team_id AND NOT t.deleted
        UNION ALL
        SELECT t.team_id, t.parent_id, t.head_id, up.step + 1 FROM up JOIN team_view t ON t.team_id = up.parent_id
        WHERE up.step < 20 AND NOT t.deleted
      )
      SELECT up.head_id FROM up WHERE up.head_id IS NOT NULL AND up.head_id <> p.user_id ORDER BY up.step LIMIT 1
    )) AS head_id
    FROM person_view p WHERE p.user_id = above.user_id
  ) AS head
  WHERE head.head_id IS NOT NULL AND above.level < 10
)
SELECT p.user_id, p.name, p.team_id, p.time_zone, p.language, p.active
FROM above JOIN person_view p ON p.user_id = above.user_id WHERE above.level > 0 ORDER BY above.level
