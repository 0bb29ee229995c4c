INSERT INTO team (tenant_id, team_id, name, parent_id, head_id, deleted) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, team_id) DO UPDATE SET name = excluded.name, parent_id = excluded.parent_id,
  head_id = excluded.head_id, deleted = excluded.deleted
