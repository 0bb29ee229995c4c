SELECT user_id, choices FROM notification_preferences_view WHERE user_id = ANY ($1::uuid[])
