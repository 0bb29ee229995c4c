UPDATE send SET begun = false, holder = '', due_time = now() + make_interval(secs => $4), recipients = $5, doubts = $6
WHERE tenant_id = $1 AND message_id = $2 AND token = $3 RETURNING 1
