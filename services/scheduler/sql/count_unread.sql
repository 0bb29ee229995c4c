SELECT count(*), count(*) FILTER (WHERE urgent) FROM (
  SELECT urgent FROM notification_view WHERE owner_id = $1 AND read_time IS NULL AND snooze_time IS NULL LIMIT 1000) AS unread
