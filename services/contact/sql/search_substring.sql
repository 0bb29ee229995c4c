-- Then any part of the text: at most 500 candidates by the trigram index, those where the term stands earliest first.
-- $2 are escaped LIKE patterns, none twice: the term as typed, in Latin letters, and its digits; $5 to $7 narrow as in
-- search_exact.
SELECT record_id FROM (
  SELECT e.record_id, e.name, e.text FROM search_entry_view e
  WHERE e.object = $1 AND e.text LIKE ANY ($2::text[])
    AND ($5::int = 3
      OR EXISTS (SELECT 1 FROM contact_view r WHERE e.object = 'contact' AND r.id = e.record_id
                 AND (r.owner_id = $6 OR ($5::int = 2 AND r.team_id = ANY ($7))))
      OR EXISTS (SELECT 1 FROM company_view r WHERE e.object = 'company' AND r.id = e.record_id
                 AND (r.owner_id = $6 OR ($5::int = 2 AND r.team_id = ANY ($7)))))
  LIMIT 500
) AS candidate
ORDER BY position($3 IN text) = 0, position($3 IN text), name, record_id LIMIT $4
