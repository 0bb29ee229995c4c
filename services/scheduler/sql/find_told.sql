SELECT id FROM notification_view WHERE id = ANY ($1::uuid[])
