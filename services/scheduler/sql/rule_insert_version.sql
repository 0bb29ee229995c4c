INSERT INTO rule_version (tenant_id, rule_id, version, definition) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
