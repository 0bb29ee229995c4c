INSERT INTO mailbox (address, owner_tenant, channel_id) VALUES ($1, $2, $3)
