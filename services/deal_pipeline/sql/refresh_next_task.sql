-- The next task of the deals that a task ($2) is or was about.
UPDATE deal d SET next_task_id = n.id, next_task_title = coalesce(n.title, ''), next_task_due_time = n.due_time,
  next_task_overdue = coalesce(n.overdue, false)
FROM (SELECT unnest(ARRAY[deal_id, prior_deal_id]) AS id FROM task_mark WHERE tenant_id = $1 AND id = $2) k
LEFT JOIN LATERAL (
  SELECT t.id, t.title, t.due_time, t.overdue FROM task_mark t WHERE t.tenant_id = $1 AND t.deal_id = k.id AND t.open
  ORDER BY t.due_time, t.id LIMIT 1
) n ON true
WHERE d.tenant_id = $1 AND d.id = k.id AND (d.next_task_id, d.next_task_title, d.next_task_due_time, d.next_task_overdue)
  IS DISTINCT FROM (n.id, coalesce(n.title, ''), n.due_time, coalesce(n.overdue, false))
