SELECT
  (SELECT count(*) FROM (SELECT 1 FROM conversation_view t WHERE status = 1 AND ($1 = 3 OR t.owner_id = $2 OR ($1 = 2 AND t.team_id = ANY ($3))) LIMIT 1000) AS open),
  (SELECT count(*) FROM (SELECT 1 FROM conversation_view t WHERE status = 1 AND waiting AND ($1 = 3 OR t.owner_id = $2 OR ($1 = 2 AND t.team_id = ANY ($3))) LIMIT 1000) AS waiting),
  (SELECT count(*) FROM (SELECT 1 FROM conversation_view t WHERE t.inbound_count > COALESCE((SELECT r.inbound_count FROM read_state_view r
     WHERE r.conversation_id = t.id AND r.user_id = $4), 0) AND ($1 = 3 OR t.owner_id = $2 OR ($1 = 2 AND t.team_id = ANY ($3))) LIMIT 1000) AS unread),
  (SELECT count(*) FROM (SELECT 1 FROM conversation_view t WHERE status = 1 AND t.owner_id = $2 LIMIT 1000) AS own)
