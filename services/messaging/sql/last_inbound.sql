SELECT id FROM message_view WHERE conversation_id = $1 AND direction = 1 ORDER BY create_time DESC, id DESC LIMIT 1
