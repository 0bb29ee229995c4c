INSERT INTO stage_total AS t (tenant_id, stage_id, owner_id, team_id, currency_code, slice, deal_count, amount)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, stage_id, owner_id, team_id, currency_code, slice)
DO UPDATE SET deal_count = t.deal_count + EXCLUDED.deal_count, amount = t.amount + EXCLUDED.amount
