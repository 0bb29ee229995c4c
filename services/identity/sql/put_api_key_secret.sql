INSERT INTO api_key_secret (tenant_id, key_id, hash) VALUES ($1, $2, $3)
