-- The next task of the contacts that a task ($2) is or was about, or of the contact $3.
UPDATE contact c SET next_task_id = n.id, next_task_title = coalesce(n.title, ''), next_task_due_time = n.due_time,
  next_task_overdue = coalesce(n.overdue, false)
FROM (SELECT unnest(ARRAY[contact_id, prior_contact_id]) AS id FROM task_mark WHERE tenant_id = $1 AND id = $2::uuid
      UNION SELECT $3::uuid) k
LEFT JOIN LATERAL (
  SELECT t.id, t.title, t.due_time, t.overdue FROM task_mark t WHERE t.tenant_id = $1 AND t.contact_id = k.id AND t.open
  ORDER BY t.due_time, t.id LIMIT 1
) n ON true
WHERE c.tenant_id = $1 AND c.id = k.id AND (c.next_task_id, c.next_task_title, c.next_task_due_time, c.next_task_overdue)
  IS DISTINCT FROM (n.id, coalesce(n.title, ''), n.due_time, coalesce(n.overdue, false))
