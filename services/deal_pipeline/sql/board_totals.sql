-- $2: 0 none, 1 own, 2 team, 3 all; $3 the caller, $4 the caller's teams, $5 only this owner or NULL.
SELECT stage_id, currency_code, sum(deal_count)::bigint, sum(amount) FROM stage_total_view
WHERE stage_id = ANY ($1)
  AND ($2::int = 3 OR ($2::int >= 1 AND owner_id = $3) OR ($2::int = 2 AND team_id = ANY ($4)))
  AND ($5::uuid IS NULL OR owner_id = $5)
GROUP BY stage_id, currency_code
