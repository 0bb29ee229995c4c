WITH RECURSIVE above AS (
  SELECT id, parent_id FROM team_view WHERE id = $1
  UNION
  SELECT t.id, t.parent_id FROM team_view t JOIN above a ON t.id = a.parent_id
)
SELECT id FROM above
