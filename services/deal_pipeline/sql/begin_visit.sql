INSERT INTO stage_visit (tenant_id, deal_id, visit, stage_id, stage_name, enter_time, actor_id)
SELECT $1, $2, coalesce(max(visit), 0) + 1, $3, $4, $5, $6 FROM stage_visit WHERE tenant_id = $1 AND deal_id = $2
