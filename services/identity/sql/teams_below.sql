-- The user's own team ($1), the teams that they lead ($2), and everything below them. UNION ends circles.
WITH RECURSIVE below AS (
  SELECT id FROM team_view WHERE delete_time IS NULL AND (id = $1 OR head_id = $2)
  UNION
  SELECT t.id FROM team_view t JOIN below b ON t.parent_id = b.id WHERE t.delete_time IS NULL
)
SELECT id FROM below LIMIT 500
