-- What users did from $1 (inclusive) to $2: per user, kind and currency the count and, for won deals, the sum. Kinds: 1 to 6
-- as in activity_fact; 11 deals begun, 12 won, 13 lost, which count for their owner.
-- $3: 0 none, 1 own, 2 team, 3 all; $4 the caller, $5 the caller's teams, $6 only users of this team or NULL.
SELECT u.id, coalesce(f.name, ''), u.kind, u.currency_code, u.count, u.amount FROM (
  SELECT id, kind, currency_code, count(*) AS count, sum(amount) AS amount FROM (
    SELECT d.owner_id AS id, 11 AS kind, '' AS currency_code, 0::numeric AS amount FROM deal_fact_view d
    WHERE d.open_time >= $1 AND d.open_time < $2 AND NOT d.deleted
      AND ($3::int = 3 OR ($3::int >= 1 AND d.owner_id = $4) OR ($3::int = 2 AND d.team_id = ANY ($5)))
    UNION ALL
    SELECT d.owner_id, 12, d.currency_code, coalesce(d.amount, 0) FROM deal_fact_view d
    WHERE d.won_time >= $1 AND d.won_time < $2 AND NOT d.deleted
      AND ($3::int = 3 OR ($3::int >= 1 AND d.owner_id = $4) OR ($3::int = 2 AND d.team_id = ANY ($5)))
    UNION ALL
    SELECT d.owner_id, 13, '', 0 FROM deal_fact_view d
    WHERE d.lost_time >= $1 AND d.lost_time < $2 AND NOT d.deleted
      AND ($3::int = 3 OR ($3::int >= 1 AND d.owner_id = $4) OR ($3::int = 2 AND d.team_id = ANY ($5)))
    UNION ALL
    SELECT a.user_id, a.kind, '', 0 FROM activity_fact_view a LEFT JOIN user_fact_view m ON m.id = a.user_id
    WHERE a.time >= $1 AND a.time < $2
      AND ($3::int = 3 OR ($3::int >= 1 AND a.user_id = $4) OR ($3::int = 2 AND m.team_id = ANY ($5)))
  ) did
  WHERE id IS NOT NULL
  GROUP BY id, kind, currency_code
) u
LEFT JOIN user_fact_view f ON f.id = u.id
WHERE $6::uuid IS NULL OR f.team_id = $6
