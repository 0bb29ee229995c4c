DELETE FROM deal_line_fact l WHERE l.tenant_id = $1 AND l.deal_id = $2 AND l.line > $3::bigint
  AND EXISTS (SELECT 1 FROM deal_fact d WHERE d.tenant_id = $1 AND d.id = $2 AND d.revision = $4::bigint)
