-- An entry as one event leaves it. Of a deal or lead ($9, $10) it takes whom it concerns where the event does not say. An event of the
-- same record heard again, or late, changes nothing.
WITH card AS (
  SELECT contact_id, company_id, deal_id, owner_id FROM linked_record WHERE tenant_id = $1 AND id = coalesce($9::uuid, $10::uuid)
)
INSERT INTO activity AS a (tenant_id, id, revision, kind, object, record_id, author_id, contact_id, company_id, deal_id, lead_id,
  time, update_time, title, snippet, direction, state, from_stage_id, to_stage_id, from_owner_id, to_owner_id, amount_amount,
  amount_currency_code, changed_fields, due_time, pinned, conversation_id, rule_id, source, source_seq)
SELECT $1, $2, 1, $3, $4, $5, $6, coalesce($7::uuid, (SELECT contact_id FROM card)), coalesce($8::uuid, (SELECT company_id FROM card)),
  coalesce($9::uuid, (SELECT deal_id FROM card)), $10::uuid, $11, $12, $13, $14, $15, $16, $17, $18,
  CASE WHEN $19::boolean THEN (SELECT owner_id FROM card) END, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29
ON CONFLICT (tenant_id, id) DO UPDATE SET revision = a.revision + 1, author_id = EXCLUDED.author_id,
  contact_id = coalesce(EXCLUDED.contact_id, a.contact_id), company_id = coalesce(EXCLUDED.company_id, a.company_id),
  deal_id = coalesce(EXCLUDED.deal_id, a.deal_id), lead_id = coalesce(EXCLUDED.lead_id, a.lead_id), update_time = EXCLUDED.update_time,
  title = EXCLUDED.title, snippet = EXCLUDED.snippet, direction = EXCLUDED.direction, state = EXCLUDED.state,
  to_owner_id = EXCLUDED.to_owner_id, due_time = EXCLUDED.due_time, pinned = EXCLUDED.pinned,
  conversation_id = EXCLUDED.conversation_id, rule_id = coalesce(EXCLUDED.rule_id, a.rule_id), source_seq = EXCLUDED.source_seq
WHERE a.source_seq < EXCLUDED.source_seq
