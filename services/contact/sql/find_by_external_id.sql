SELECT record_id FROM external_id_view WHERE object = $1 AND system = $2 AND external_id = $3
