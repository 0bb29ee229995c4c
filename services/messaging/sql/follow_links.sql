UPDATE message SET contact_id = $3, company_id = $4, deal_id = $5, revision = revision + 1, update_time = $6
WHERE tenant_id = $1 AND conversation_id = $2
AND (contact_id IS DISTINCT FROM $3 OR company_id IS DISTINCT FROM $4 OR deal_id IS DISTINCT FROM $5)
