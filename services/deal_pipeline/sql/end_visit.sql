UPDATE stage_visit SET leave_time = $3 WHERE tenant_id = $1 AND deal_id = $2 AND leave_time IS NULL
