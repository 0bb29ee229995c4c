SELECT 1 FROM person_view WHERE user_id = $1
