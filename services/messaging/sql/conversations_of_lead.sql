SELECT id FROM conversation_view WHERE lead_id = $1 LIMIT 100
