INSERT INTO credential (tenant_id, user_id, password_hash, update_time) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET password_hash = EXCLUDED.password_hash, update_time = EXCLUDED.update_time
