SELECT id FROM message_view WHERE conversation_id = $1 AND kind = 1 AND internet_message_id <> ''
ORDER BY create_time DESC, id DESC LIMIT 1
