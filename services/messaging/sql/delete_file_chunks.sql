DELETE FROM file_chunk WHERE tenant_id = $1 AND file_id = $2
  AND number IN (SELECT number FROM file_chunk WHERE tenant_id = $1 AND file_id = $2 ORDER BY number LIMIT 256)
