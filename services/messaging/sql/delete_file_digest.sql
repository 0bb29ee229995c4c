DELETE FROM file_digest WHERE tenant_id = $1 AND file_id = $2
