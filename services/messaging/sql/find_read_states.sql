SELECT conversation_id, inbound_count FROM read_state_view WHERE user_id = $1 AND conversation_id = ANY ($2)
