-- The tenants of the buckets $1 that have letters due, at most $2, the one that has waited longest first. Leaps from tenant to tenant
-- along send_queue: a hundred thousand letters of one are one step.
WITH RECURSIVE found AS (
  (SELECT bucket, tenant_id, due_time FROM send ORDER BY bucket, tenant_id, due_time LIMIT 1)
  UNION ALL
  SELECT next.bucket, next.tenant_id, next.due_time
  FROM found CROSS JOIN LATERAL (
    SELECT bucket, tenant_id, due_time FROM send WHERE (bucket, tenant_id) > (found.bucket, found.tenant_id)
    ORDER BY bucket, tenant_id, due_time LIMIT 1
  ) AS next
)
SELECT tenant_id FROM found WHERE bucket = ANY ($1) AND due_time <= now() ORDER BY due_time LIMIT $2
