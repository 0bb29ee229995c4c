INSERT INTO read_state AS r (tenant_id, user_id, conversation_id, inbound_count) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, user_id, conversation_id) DO UPDATE SET inbound_count = greatest(r.inbound_count, EXCLUDED.inbound_count)
