DELETE FROM record_key WHERE tenant_id = $1 AND record_id = $2
