-- no transaction
-- Orders that lists offer over what the events keep.
CREATE INDEX CONCURRENTLY IF NOT EXISTS deal_last_touch_time ON deal (tenant_id, last_touch_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS deal_next_task_due_time ON deal (tenant_id, next_task_due_time, id);
