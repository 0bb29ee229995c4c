DELETE FROM file_part WHERE tenant_id = $1 AND file_id = $2
