-- The unread letters of a conversation ($2) count for the deal $3 from now on.
WITH moved AS (
  UPDATE unread_message u SET deal_id = $3 FROM unread_message o
  WHERE u.tenant_id = $1 AND u.conversation_id = $2 AND u.deal_id IS DISTINCT FROM $3 AND o.tenant_id = $1 AND o.id = u.id
  RETURNING o.deal_id AS was
)
UPDATE deal c SET unread_count = c.unread_count + d.more
FROM (SELECT was AS id, -count(*) AS more FROM moved GROUP BY was UNION ALL SELECT $3::uuid, count(*) FROM moved) d
WHERE c.tenant_id = $1 AND c.id = d.id AND d.more <> 0
