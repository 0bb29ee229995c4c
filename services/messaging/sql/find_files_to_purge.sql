-- Of all tenants: uploads that should have ended ($1 now), and files deleted long enough ago ($2).
SELECT tenant_id, id FROM file WHERE expire_time < $1
UNION SELECT tenant_id, id FROM file WHERE delete_time < $2
LIMIT $3
