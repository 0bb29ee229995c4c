SELECT owner_tenant, user_id FROM directory WHERE login = $1
