SELECT v.definition, r.name, r.owner_id
FROM rule_view AS r JOIN rule_version_view AS v ON v.rule_id = r.id AND v.version = r.version
WHERE r.enabled AND r.delete_time IS NULL
ORDER BY r.create_time, r.id LIMIT 1000
