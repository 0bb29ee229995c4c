UPDATE send SET begun = true, attempts = attempts + 1, doubts = $4 WHERE tenant_id = $1 AND message_id = $2 AND token = $3 RETURNING 1
