SELECT id, user_id, device, create_time, expire_time FROM session_view
WHERE user_id = $1 AND revoke_time IS NULL AND expire_time > now() ORDER BY create_time DESC LIMIT 200
