UPDATE message SET owner_id = $3, team_id = $4, revision = revision + 1, update_time = $5
WHERE tenant_id = $1 AND conversation_id = $2 AND (owner_id IS DISTINCT FROM $3 OR team_id IS DISTINCT FROM $4)
