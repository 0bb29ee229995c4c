INSERT INTO webhook_secret (tenant_id, webhook_id, sealed) VALUES ($1, $2, $3)
