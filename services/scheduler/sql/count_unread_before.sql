SELECT count(*) FROM notification_view
WHERE owner_id = $1 AND read_time IS NULL AND snooze_time IS NULL AND create_time <= $2
