-- What is due, of all tenants, at most $1, for the holder $2: four of one webhook at a time, so that a slow one does not take all hands. A lease ends by
-- itself if its holder dies; the delivery is then posted again, with the same id. Its end is also the fence: who settles by another one
-- comes too late.
UPDATE delivery d SET lease_until = now() + make_interval(secs => $3), holder = $2, attempt_count = d.attempt_count + 1
FROM (
  SELECT tenant_id, id FROM (
    SELECT tenant_id, id, next_attempt_time, row_number() OVER (PARTITION BY tenant_id, webhook_id ORDER BY next_attempt_time, id) AS place
    FROM (
      SELECT tenant_id, id, webhook_id, next_attempt_time FROM delivery
      WHERE status = 1 AND next_attempt_time <= now() AND (lease_until IS NULL OR lease_until < now())
      ORDER BY next_attempt_time LIMIT 500
    ) due
  ) ranked
  WHERE place <= 4 ORDER BY next_attempt_time LIMIT $1
) c
WHERE d.tenant_id = c.tenant_id AND d.id = c.id AND d.status = 1 AND (d.lease_until IS NULL OR d.lease_until < now())
RETURNING d.tenant_id, d.id, d.webhook_id, d.event, d.attempt_count, d.lease_until
