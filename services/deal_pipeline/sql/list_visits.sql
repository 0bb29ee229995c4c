SELECT stage_id, stage_name, enter_time, leave_time, actor_id FROM stage_visit_view WHERE deal_id = $1 ORDER BY visit
