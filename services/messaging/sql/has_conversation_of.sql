SELECT 1 FROM conversation_view WHERE contact_id = $1 LIMIT 1
