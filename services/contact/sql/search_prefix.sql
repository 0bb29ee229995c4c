-- Then names that begin so. $2 is an escaped LIKE pattern; $4 to $6 narrow as in search_exact.
SELECT e.record_id FROM search_entry_view e
WHERE e.object = $1 AND e.name LIKE $2
  AND ($4::int = 3
    OR EXISTS (SELECT 1 FROM contact_view r WHERE e.object = 'contact' AND r.id = e.record_id
               AND (r.owner_id = $5 OR ($4::int = 2 AND r.team_id = ANY ($6))))
    OR EXISTS (SELECT 1 FROM company_view r WHERE e.object = 'company' AND r.id = e.record_id
               AND (r.owner_id = $5 OR ($4::int = 2 AND r.team_id = ANY ($6)))))
ORDER BY e.name USING ~<~ LIMIT $3  -- the order of the index, so that it is read no further than the limit
