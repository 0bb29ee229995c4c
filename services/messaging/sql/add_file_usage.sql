INSERT INTO file_usage AS u (tenant_id, bytes) VALUES ($1, $2)
ON CONFLICT (tenant_id) DO UPDATE SET bytes = greatest(0, u.bytes + EXCLUDED.bytes)
