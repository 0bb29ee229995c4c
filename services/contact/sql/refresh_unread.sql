-- Takes the letters of a conversation ($2) that have been read or answered, and counts what is left of the contacts that they are from
-- and of the contact $3.
WITH gone AS (
  DELETE FROM unread_message u USING conversation_mark m
  WHERE u.tenant_id = $1 AND u.conversation_id = $2 AND m.tenant_id = $1 AND m.conversation_id = $2 AND u.time <= m.read_time
  RETURNING u.id, u.contact_id
), left_over AS (
  SELECT k.contact_id AS id,
    (SELECT count(*) FROM unread_message u WHERE u.tenant_id = $1 AND u.contact_id = k.contact_id AND u.id NOT IN (SELECT id FROM gone)) AS count
  FROM (SELECT contact_id FROM gone UNION SELECT $3::uuid UNION SELECT contact_id FROM unread_message WHERE tenant_id = $1 AND conversation_id = $2) k
)
UPDATE contact c SET unread_count = l.count FROM left_over l
WHERE c.tenant_id = $1 AND c.id = l.id AND c.unread_count <> l.count
