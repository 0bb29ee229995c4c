INSERT INTO record_key (tenant_id, object, kind, key, record_id)
SELECT $1, $2, kind, key, $3 FROM unnest($4::text[], $5::text[]) AS k (kind, key)
