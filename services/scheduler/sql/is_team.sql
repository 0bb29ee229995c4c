SELECT 1 FROM team_view WHERE team_id = $1 AND NOT deleted
