-- What a lead led to, given to the entries that it has.
UPDATE activity SET contact_id = coalesce(contact_id, $3::uuid), deal_id = coalesce(deal_id, $4::uuid)
WHERE tenant_id = $1 AND lead_id = $2 AND ((contact_id IS NULL AND $3::uuid IS NOT NULL) OR (deal_id IS NULL AND $4::uuid IS NOT NULL))
