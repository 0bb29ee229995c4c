UPDATE send SET due_time = now() WHERE tenant_id = $1 AND holder = $2 AND due_time > now()
