SELECT id FROM calendar_view WHERE is_default AND delete_time IS NULL
