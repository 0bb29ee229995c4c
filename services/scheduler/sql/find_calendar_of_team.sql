SELECT id FROM calendar_view WHERE team_id = $1 AND delete_time IS NULL
