INSERT INTO account (tenant_id, user_id, record) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET record = EXCLUDED.record
