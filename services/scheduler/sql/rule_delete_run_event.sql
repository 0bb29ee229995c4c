DELETE FROM rule_run_event WHERE tenant_id = $1 AND run_id = $2
