INSERT INTO file_part (tenant_id, file_id, number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
