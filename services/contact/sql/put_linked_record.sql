-- A deal or lead as its newest event leaves it.
INSERT INTO linked_record AS l (tenant_id, id, object, revision, title, owner_id, team_id, contact_id, company_id, deal_id, pipeline_id,
  stage_id, open, amount, currency_code, create_time, deleted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (tenant_id, id) DO UPDATE SET revision = EXCLUDED.revision, title = EXCLUDED.title, owner_id = EXCLUDED.owner_id,
  team_id = EXCLUDED.team_id, contact_id = EXCLUDED.contact_id, company_id = EXCLUDED.company_id, deal_id = EXCLUDED.deal_id,
  stage_id = EXCLUDED.stage_id, open = EXCLUDED.open, amount = EXCLUDED.amount, currency_code = EXCLUDED.currency_code,
  deleted = EXCLUDED.deleted
WHERE l.revision < EXCLUDED.revision
