INSERT INTO rule_run (tenant_id, id, revision, rule_id, rule_version, rule_name, status, event_type, event_id, record_id, steps,
  error, depth, cause_run_id, wake_time, end_time, create_time, update_time, next_path, owner_id, team_id, once)
VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8, $9, '[]', $10, $11, $12, NULL, $13, $14, $14, '', $15, $16, $17)
ON CONFLICT DO NOTHING
