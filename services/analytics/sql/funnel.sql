-- The funnel of the deals of pipeline $1 that began from $2 (inclusive) to $3; all of it in one statement, so that its
-- numbers belong together.
-- $4: 0 none, 1 own, 2 team, 3 all; $5 the caller, $6 the caller's teams, $7 only this owner, $8 only this source or NULL.
-- A deal has passed a stage when it was later in one that comes further on in the pipeline and is not a lost one (kind 3).
WITH cohort AS MATERIALIZED (
  SELECT d.id, d.stage_id, d.won_time, d.lost_time, d.lost_reason FROM deal_fact_view d
  WHERE d.pipeline_id = $1 AND d.open_time >= $2 AND d.open_time < $3 AND NOT d.deleted
    AND ($4::int = 3 OR ($4::int >= 1 AND d.owner_id = $5) OR ($4::int = 2 AND d.team_id = ANY ($6)))
    AND ($7::uuid IS NULL OR d.owner_id = $7)
    AND ($8::text IS NULL OR d.source = $8)
), stage AS (
  SELECT s.id, s.name, s.kind, s.place FROM pipeline_fact_view f
  CROSS JOIN LATERAL unnest(f.stage_ids, f.stage_names, f.stage_kinds) WITH ORDINALITY AS s (id, name, kind, place)
  WHERE f.id = $1
), entry AS (
  SELECT e.deal_id, s.id AS stage_id, s.place, extract(epoch FROM e.leave_time - e.enter_time)::float8 AS dwell,
    max(s.place) FILTER (WHERE s.kind <> 3) OVER (
      PARTITION BY e.deal_id ORDER BY e.visit ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later
  FROM cohort c JOIN stage_entry_fact_view e ON e.deal_id = c.id JOIN stage s ON s.id = e.stage_id
), by_stage AS (
  SELECT stage_id, count(DISTINCT deal_id) AS entered, count(DISTINCT deal_id) FILTER (WHERE later > place) AS passed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell) AS median, percentile_cont(0.9) WITHIN GROUP (ORDER BY dwell) AS p90
  FROM entry GROUP BY stage_id
), here AS (
  SELECT stage_id, count(*) AS current FROM cohort GROUP BY stage_id
)
SELECT 'stage', s.place, s.id, s.name, coalesce(b.entered, 0), coalesce(h.current, 0), coalesce(b.passed, 0), b.median, b.p90
FROM stage s LEFT JOIN by_stage b ON b.stage_id = s.id LEFT JOIN here h ON h.stage_id = s.id
UNION ALL
SELECT 'total', 0, NULL, '', count(*), count(won_time), count(lost_time), NULL, NULL FROM cohort
UNION ALL
SELECT 'reason', 0, NULL, lost_reason, count(*), 0, 0, NULL, NULL FROM cohort WHERE lost_time IS NOT NULL GROUP BY lost_reason
ORDER BY 1, 2, 5 DESC, 4
