-- Whose a contact ($3) or company ($4) was before the revision $5 that handed it over, told by its history.
UPDATE activity a SET from_owner_id = h.owner_id
FROM (SELECT owner_id FROM contact_history WHERE tenant_id = $1 AND id = $3::uuid AND revision = $5::integer - 1
      UNION ALL
      SELECT owner_id FROM company_history WHERE tenant_id = $1 AND id = $4::uuid AND revision = $5::integer - 1) h
WHERE a.tenant_id = $1 AND a.id = $2
