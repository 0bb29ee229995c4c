-- Contacts who work at the companies found; $3 to $5 narrow as in search_exact.
SELECT id FROM contact_view
WHERE company_id = ANY ($1) AND delete_time IS NULL
  AND ($3::int = 3 OR owner_id = $4 OR ($3::int = 2 AND team_id = ANY ($5)))
ORDER BY id DESC LIMIT $2
