DELETE FROM timer WHERE tenant_id = $1 AND subject = $2 AND ($3::text = '' OR kind = $3)
