-- A letter that came in, unless it has been read or answered meanwhile.
INSERT INTO unread_message (tenant_id, id, conversation_id, deal_id, time)
SELECT $1, $2, $3, $4::uuid, $5
WHERE NOT EXISTS (SELECT 1 FROM conversation_mark m WHERE m.tenant_id = $1 AND m.conversation_id = $3 AND m.read_time >= $5)
ON CONFLICT DO NOTHING
