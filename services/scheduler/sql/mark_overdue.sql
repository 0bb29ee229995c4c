INSERT INTO task_overdue (tenant_id, task_id, due_time) VALUES ($1, $2, $3)
