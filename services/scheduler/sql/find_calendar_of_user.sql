SELECT id FROM calendar_view WHERE user_id = $1 AND delete_time IS NULL
