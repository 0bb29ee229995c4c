SELECT id, name FROM product_fact_view WHERE id = ANY ($1)
