SELECT v.definition, r.name, r.owner_id
FROM rule_version_view AS v JOIN rule_view AS r ON r.id = v.rule_id
WHERE v.rule_id = $1 AND v.version = $2
