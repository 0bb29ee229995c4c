UPDATE session SET refresh_hash = $3, previous_refresh_hash = $4, expire_time = $5
WHERE tenant_id = $1 AND id = $2 AND refresh_hash = $4 AND revoke_time IS NULL RETURNING 1
