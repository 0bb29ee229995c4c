INSERT INTO rule_run_event (tenant_id, run_id, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
