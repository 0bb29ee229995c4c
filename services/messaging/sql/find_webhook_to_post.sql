SELECT w.url, w.enabled AND w.delete_time IS NULL, w.personal_data, s.sealed, s.former_sealed, s.former_until, w.failing_since
FROM webhook_view w JOIN webhook_secret_view s ON s.webhook_id = w.id WHERE w.id = $1
