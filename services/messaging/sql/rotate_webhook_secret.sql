-- The former one signs beside it until $4.
UPDATE webhook_secret SET former_sealed = sealed, former_until = $4, sealed = $3 WHERE tenant_id = $1 AND webhook_id = $2
