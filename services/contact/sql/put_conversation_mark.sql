-- Up to when a conversation has been read or answered.
INSERT INTO conversation_mark AS m (tenant_id, conversation_id, read_time) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, conversation_id) DO UPDATE SET read_time = greatest(m.read_time, EXCLUDED.read_time)
