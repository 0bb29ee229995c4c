-- The newest open deals of a contact ($1) that the caller may see. $2: 0 none, 1 own, 2 team, 3 all; $3 the caller, $4 the caller's
-- teams, $5 how many.
SELECT id, title, pipeline_id, stage_id, owner_id, amount, currency_code, create_time FROM linked_record_view
WHERE contact_id = $1 AND open AND NOT deleted AND object = 'deal'
  AND ($2::int = 3 OR ($2::int >= 1 AND owner_id = $3) OR ($2::int = 2 AND team_id = ANY ($4)))
ORDER BY create_time DESC, id DESC LIMIT $5
