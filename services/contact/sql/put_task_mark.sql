-- A task as its newest event leaves it. Of its deal or lead it takes the contact where it names none.
INSERT INTO task_mark AS t (tenant_id, id, revision, contact_id, prior_contact_id, deal_id, lead_id, title, due_time, overdue, open)
SELECT $1, $2, $3, coalesce($4::uuid, (SELECT contact_id FROM linked_record WHERE tenant_id = $1 AND id = coalesce($5::uuid, $6::uuid))),
  NULL, $5::uuid, $6::uuid, $7, $8, $9, $10
ON CONFLICT (tenant_id, id) DO UPDATE SET revision = EXCLUDED.revision, contact_id = EXCLUDED.contact_id,
  prior_contact_id = CASE WHEN t.contact_id IS DISTINCT FROM EXCLUDED.contact_id THEN t.contact_id ELSE t.prior_contact_id END,
  deal_id = EXCLUDED.deal_id, lead_id = EXCLUDED.lead_id, title = EXCLUDED.title, due_time = EXCLUDED.due_time,
  overdue = EXCLUDED.overdue, open = EXCLUDED.open
WHERE t.revision <= EXCLUDED.revision
