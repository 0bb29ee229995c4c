SELECT 1 FROM account_view WHERE role_ids @> ARRAY[$1::uuid]
UNION ALL SELECT 1 FROM api_key_view WHERE role_ids @> ARRAY[$1::uuid] AND delete_time IS NULL LIMIT 1
