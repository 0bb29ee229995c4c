SELECT max(create_time) FROM access_change_view WHERE subject_id = $1
