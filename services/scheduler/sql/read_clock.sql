WITH here AS (SELECT coalesce((SELECT offset_seconds FROM clock_view), 0) AS ahead), now AS MATERIALIZED (
  SELECT ahead, clock_timestamp() + make_interval(secs => ahead) AS now FROM here)
SELECT now.now, now.ahead,
  (SELECT count(*) FROM (SELECT 1 FROM timer_view WHERE due_time <= now.now LIMIT 10000) AS due),
  (SELECT min(due_time) FROM timer_view WHERE due_time > now.now)
FROM now
