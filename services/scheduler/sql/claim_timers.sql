-- $1 shards, $2 how many of each shard and of each tenant whose clock is ahead, $3 lease in seconds, $4 kinds, $5 holder. Reads what is due
-- in the order of timer_wake, and nothing of what waits behind it.
WITH clocks AS MATERIALIZED (
  SELECT clock_timestamp() AS now
), mine AS MATERIALIZED (
  SELECT t.tenant_id, t.id, (SELECT now FROM clocks) AS now
  FROM unnest($1::int[]) AS s (shard) CROSS JOIN LATERAL (
    SELECT timer.tenant_id, timer.id FROM timer
    WHERE bucket % 16 = s.shard AND wake_time <= (SELECT now FROM clocks) AND kind = ANY ($4::text[])
      AND tenant_id <> ALL (ARRAY(SELECT clock.tenant_id FROM clock))
    ORDER BY bucket % 16, wake_time LIMIT $2::int
    FOR UPDATE SKIP LOCKED) AS t
  UNION ALL
  SELECT t.tenant_id, t.id, (SELECT now FROM clocks) + make_interval(secs => c.offset_seconds)
  FROM clock AS c CROSS JOIN LATERAL (
    SELECT timer.tenant_id, timer.id FROM timer
    WHERE bucket % 16 = c.bucket % 16 AND tenant_id = c.tenant_id
      AND wake_time <= (SELECT now FROM clocks) + make_interval(secs => c.offset_seconds) AND kind = ANY ($4::text[])
    ORDER BY bucket % 16, wake_time LIMIT $2::int
    FOR UPDATE SKIP LOCKED) AS t
  WHERE c.bucket % 16 = ANY ($1::int[])
)
UPDATE timer SET fence = timer.fence + 1, wake_time = mine.now + make_interval(secs => $3::int), holder = $5
FROM mine WHERE timer.tenant_id = mine.tenant_id AND timer.id = mine.id
RETURNING timer.tenant_id, timer.id, timer.kind, timer.subject, timer.key, timer.due_time, timer.payload, timer.fence,
  timer.attempts, mine.now
