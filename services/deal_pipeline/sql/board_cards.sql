-- The newest cards of each stage; parameters as in board_totals, $6 how many.
SELECT s.stage_id, d.id FROM unnest($1::uuid[]) AS s (stage_id)
CROSS JOIN LATERAL (
  SELECT c.id, c.stage_enter_time FROM deal_view c
  WHERE c.stage_id = s.stage_id AND c.delete_time IS NULL
    AND ($2::int = 3 OR ($2::int >= 1 AND c.owner_id = $3) OR ($2::int = 2 AND c.team_id = ANY ($4)))
    AND ($5::uuid IS NULL OR c.owner_id = $5)
  ORDER BY c.stage_enter_time DESC, c.id DESC LIMIT $6
) AS d
ORDER BY s.stage_id, d.stage_enter_time DESC, d.id DESC
