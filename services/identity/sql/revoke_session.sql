UPDATE session SET revoke_time = now() WHERE tenant_id = $1 AND id = $2 AND revoke_time IS NULL
