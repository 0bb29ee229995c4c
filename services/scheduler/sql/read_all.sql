UPDATE notification SET read_time = $4, update_time = $4, revision = revision + 1
WHERE tenant_id = $1 AND owner_id = $2 AND read_time IS NULL AND snooze_time IS NULL AND create_time <= $3
