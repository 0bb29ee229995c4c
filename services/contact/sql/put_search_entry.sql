INSERT INTO search_entry (tenant_id, object, record_id, name, text) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, object, record_id) DO UPDATE SET name = EXCLUDED.name, text = EXCLUDED.text
