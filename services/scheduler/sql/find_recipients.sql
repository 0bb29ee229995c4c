SELECT user_id, name, team_id, time_zone, language, active FROM person_view WHERE user_id = ANY ($1::uuid[])
