-- Then names that begin so. $2 is an escaped LIKE pattern.
SELECT record_id FROM search_entry_view
WHERE object = $1 AND name LIKE $2
ORDER BY name LIMIT $3
