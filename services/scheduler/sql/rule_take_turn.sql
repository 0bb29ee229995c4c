INSERT INTO rule_turn (tenant_id, rule_id, path, turn) VALUES ($1, $2, $3, 1)
ON CONFLICT (tenant_id, rule_id, path) DO UPDATE SET turn = rule_turn.turn + 1 RETURNING turn
