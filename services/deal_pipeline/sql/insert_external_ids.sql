INSERT INTO external_id (tenant_id, object, system, external_id, record_id)
SELECT $1, $2, system, id, $3 FROM unnest($4::text[], $5::text[]) AS e (system, id)
