-- The digest begins with the first part.
INSERT INTO file_digest (tenant_id, file_id, parts_hashed, state) VALUES ($1, $2, 1, $3) ON CONFLICT DO NOTHING
