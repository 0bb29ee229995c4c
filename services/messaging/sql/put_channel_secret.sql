INSERT INTO channel_secret (tenant_id, channel_id, sealed) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, channel_id) DO UPDATE SET sealed = EXCLUDED.sealed
