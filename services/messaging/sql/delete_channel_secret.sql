DELETE FROM channel_secret WHERE tenant_id = $1 AND channel_id = $2
