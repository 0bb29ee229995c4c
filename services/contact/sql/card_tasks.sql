SELECT id, title, due_time, overdue FROM task_mark_view WHERE contact_id = $1 AND open ORDER BY due_time, id LIMIT $2
