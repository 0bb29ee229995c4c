-- Whom a deal concerns, given to entries that came before it was known.
UPDATE activity SET contact_id = coalesce(contact_id, $3::uuid), company_id = coalesce(company_id, $4::uuid)
WHERE tenant_id = $1 AND deal_id = $2 AND ((contact_id IS NULL AND $3::uuid IS NOT NULL) OR (company_id IS NULL AND $4::uuid IS NOT NULL))
