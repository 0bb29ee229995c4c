-- Takes the letters of a conversation ($2) that have been read or answered, and counts what is left of the deals that they are from
-- and of the deal $3.
WITH gone AS (
  DELETE FROM unread_message u USING conversation_mark m
  WHERE u.tenant_id = $1 AND u.conversation_id = $2 AND m.tenant_id = $1 AND m.conversation_id = $2 AND u.time <= m.read_time
  RETURNING u.id, u.deal_id
), left_over AS (
  SELECT k.deal_id AS id,
    (SELECT count(*) FROM unread_message u WHERE u.tenant_id = $1 AND u.deal_id = k.deal_id AND u.id NOT IN (SELECT id FROM gone)) AS count
  FROM (SELECT deal_id FROM gone UNION SELECT $3::uuid UNION SELECT deal_id FROM unread_message WHERE tenant_id = $1 AND conversation_id = $2) k
)
UPDATE deal c SET unread_count = l.count FROM left_over l
WHERE c.tenant_id = $1 AND c.id = l.id AND c.unread_count <> l.count
