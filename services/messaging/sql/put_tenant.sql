INSERT INTO tenant (tenant_id, record) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET record = EXCLUDED.record
