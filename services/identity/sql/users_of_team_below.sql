-- Whose teams change when this one does: members and heads of it and of the teams above it.
SELECT id FROM account_view WHERE team_id = ANY ($1)
UNION SELECT head_id FROM team_view WHERE id = ANY ($1) AND head_id IS NOT NULL
