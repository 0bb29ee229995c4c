SELECT stage_id FROM unnest($1::uuid[]) AS s (stage_id)
WHERE EXISTS (SELECT 1 FROM deal_view d WHERE d.stage_id = s.stage_id AND d.delete_time IS NULL)
