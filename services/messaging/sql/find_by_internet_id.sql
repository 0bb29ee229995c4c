SELECT id FROM message_view WHERE internet_message_id = $1 AND direction = 2 ORDER BY create_time LIMIT 1
