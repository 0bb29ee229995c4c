-- Whole phones and e-mail addresses first. $5: 1 own, 2 team, 3 all; $6 the caller, $7 the caller's teams. Records of others
-- are left out before anything is counted; with 3 the planner drops the condition.
SELECT e.record_id FROM record_key_view e
WHERE e.object = $1 AND ((e.kind = 'phone' AND e.key = $2) OR (e.kind = 'email' AND e.key = $3))
  AND ($5::int = 3
    OR EXISTS (SELECT 1 FROM contact_view r WHERE e.object = 'contact' AND r.id = e.record_id
               AND (r.owner_id = $6 OR ($5::int = 2 AND r.team_id = ANY ($7))))
    OR EXISTS (SELECT 1 FROM company_view r WHERE e.object = 'company' AND r.id = e.record_id
               AND (r.owner_id = $6 OR ($5::int = 2 AND r.team_id = ANY ($7)))))
LIMIT $4
