-- Runs of the rule that began in the hour before this one; skipped ones do not count. No more than the limit is counted.
SELECT count(*) FROM (
  SELECT 1 FROM rule_run_view
  WHERE rule_id = $1 AND create_time > $2::timestamptz - interval '1 hour' AND (create_time, id) < ($2::timestamptz, $3::uuid)
    AND status NOT IN (5, 6)
  LIMIT $4::int) AS runs
