INSERT INTO person (tenant_id, user_id, name, team_id, manager_id, time_zone, language, active)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, user_id) DO UPDATE SET name = excluded.name, team_id = excluded.team_id,
  manager_id = excluded.manager_id, time_zone = excluded.time_zone, language = excluded.language, active = excluded.active
