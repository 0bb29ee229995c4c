-- Whole phones and e-mail addresses first.
SELECT record_id FROM record_key_view
WHERE object = $1 AND ((kind = 'phone' AND key = $2) OR (kind = 'email' AND key = $3))
LIMIT $4
