DELETE FROM send WHERE tenant_id = $1 AND message_id = $2 AND NOT begun RETURNING 1
