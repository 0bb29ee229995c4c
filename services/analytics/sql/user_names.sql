SELECT id, name FROM user_fact_view WHERE id = ANY ($1)
