INSERT INTO file_chunk (tenant_id, file_id, number, data) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, file_id, number) DO UPDATE SET data = EXCLUDED.data
