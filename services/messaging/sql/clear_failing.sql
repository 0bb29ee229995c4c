UPDATE webhook SET failing_since = NULL WHERE tenant_id = $1 AND id = $2
