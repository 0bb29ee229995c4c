SELECT m.conversation_id FROM message_view m JOIN unnest($1::text[]) WITH ORDINALITY AS k (internet_message_id, place)
USING (internet_message_id) WHERE m.conversation_id IS NOT NULL ORDER BY k.place, m.create_time LIMIT 1
