UPDATE session SET revoke_time = now()
WHERE tenant_id = $1 AND user_id = $2 AND revoke_time IS NULL AND id IS DISTINCT FROM $3
