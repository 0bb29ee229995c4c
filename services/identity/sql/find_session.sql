SELECT user_id, refresh_hash, previous_refresh_hash, cookie_hash, csrf_hash, device, create_time, expire_time
FROM session_view WHERE id = $1 AND revoke_time IS NULL AND expire_time > now()
