DELETE FROM timer WHERE tenant_id = $1 AND id = $2 AND fence = $3 RETURNING 1
