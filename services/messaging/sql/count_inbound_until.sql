SELECT count(*) FROM message_view m WHERE m.conversation_id = $1 AND m.direction = 1
AND (m.create_time, m.id) <= (SELECT u.create_time, u.id FROM message_view u WHERE u.id = $2)
