DELETE FROM send WHERE tenant_id = $1 AND message_id = $2 AND token = $3 RETURNING 1
