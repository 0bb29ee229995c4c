UPDATE channel SET is_default = false, revision = revision + 1, update_time = $3
WHERE tenant_id = $1 AND is_default AND id <> $2
