INSERT INTO access_change (tenant_id, subject_id, grants, create_time) VALUES ($1, $2, $3, $4)
