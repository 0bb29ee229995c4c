INSERT INTO session (tenant_id, id, user_id, refresh_hash, previous_refresh_hash, cookie_hash, csrf_hash, device,
                     create_time, expire_time)
VALUES ($1, $2, $3, $4, '', $5, $6, $7, $8, $9)
