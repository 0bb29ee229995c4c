SELECT id FROM channel_view WHERE delete_time IS NULL AND kind = 1 ORDER BY is_default DESC, create_time, id LIMIT 1
