INSERT INTO directory (login, owner_tenant, user_id) VALUES ($1, $2, $3)
