SELECT DISTINCT tenant_id FROM send WHERE holder = $1
