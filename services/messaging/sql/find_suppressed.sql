SELECT address, note FROM suppression_view WHERE delete_time IS NULL AND address = ANY ($1)
