SELECT tenant_id FROM send WHERE bucket = ANY ($1) AND due_time <= now() GROUP BY tenant_id ORDER BY min(due_time) LIMIT $2
