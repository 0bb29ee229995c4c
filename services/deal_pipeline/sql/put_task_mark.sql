-- A task as its newest event leaves it.
INSERT INTO task_mark AS t (tenant_id, id, revision, deal_id, prior_deal_id, title, due_time, overdue, open)
VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, $8)
ON CONFLICT (tenant_id, id) DO UPDATE SET revision = EXCLUDED.revision, deal_id = EXCLUDED.deal_id,
  prior_deal_id = CASE WHEN t.deal_id IS DISTINCT FROM EXCLUDED.deal_id THEN t.deal_id ELSE t.prior_deal_id END,
  title = EXCLUDED.title, due_time = EXCLUDED.due_time, overdue = EXCLUDED.overdue, open = EXCLUDED.open
WHERE t.revision <= EXCLUDED.revision
