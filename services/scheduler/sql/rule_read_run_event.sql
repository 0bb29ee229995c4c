SELECT event FROM rule_run_event_view WHERE run_id = $1
