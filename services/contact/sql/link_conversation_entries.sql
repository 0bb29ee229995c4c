-- The entries of a conversation follow it to its contact, company and deal.
UPDATE activity SET contact_id = coalesce($3::uuid, contact_id), company_id = coalesce($4::uuid, company_id),
  deal_id = coalesce($5::uuid, deal_id)
WHERE tenant_id = $1 AND conversation_id = $2 AND object = 'message'
  AND (contact_id, company_id, deal_id) IS DISTINCT FROM
      (coalesce($3::uuid, contact_id), coalesce($4::uuid, company_id), coalesce($5::uuid, deal_id))
