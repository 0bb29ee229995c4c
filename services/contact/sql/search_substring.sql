-- Then any part of the text: at most 500 candidates by the trigram index, those where the term stands earliest first.
-- $2, $3 and $4 are escaped LIKE patterns: the term as typed, in Latin letters, and its digits (or the first again).
SELECT record_id FROM (
  SELECT record_id, name, text FROM search_entry_view
  WHERE object = $1 AND text LIKE ANY (ARRAY[$2, $3, $4])
  LIMIT 500
) AS candidate
ORDER BY position($5 IN text) = 0, position($5 IN text), name, record_id LIMIT $6
