SELECT 1 FROM task_overdue_view WHERE task_id = $1 AND due_time = $2
