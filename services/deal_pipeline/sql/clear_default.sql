UPDATE pipeline SET is_default = false WHERE tenant_id = $1 AND is_default AND id <> $2
