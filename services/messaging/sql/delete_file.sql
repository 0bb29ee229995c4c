-- The file's row, unless it was completed meanwhile, and what it took of the tenant's share.
WITH gone AS (
  DELETE FROM file WHERE tenant_id = $1 AND id = $2 AND (expire_time < $3 OR delete_time < $4) RETURNING size_bytes
)
UPDATE file_usage u SET bytes = greatest(0, u.bytes - g.size_bytes) FROM gone g WHERE u.tenant_id = $1
