UPDATE timer SET wake_time = $4, attempts = attempts + 1, error = $5, holder = '' WHERE tenant_id = $1 AND id = $2 AND fence = $3
