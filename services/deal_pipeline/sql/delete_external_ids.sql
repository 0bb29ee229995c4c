DELETE FROM external_id WHERE tenant_id = $1 AND record_id = $2
