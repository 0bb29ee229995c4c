SELECT record_id FROM record_key_view WHERE object = $1 AND kind = $2 AND key = $3 ORDER BY record_id DESC LIMIT 50
