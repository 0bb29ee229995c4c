-- no transaction
-- Orders that lists offer over what the timeline keeps.
CREATE INDEX CONCURRENTLY IF NOT EXISTS contact_last_touch_time ON contact (tenant_id, last_touch_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS contact_next_task_due_time ON contact (tenant_id, next_task_due_time, id);
