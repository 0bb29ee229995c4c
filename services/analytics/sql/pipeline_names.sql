SELECT id, name FROM pipeline_fact_view WHERE id = ANY ($1)
