DELETE FROM mailbox WHERE owner_tenant = $1 AND channel_id = $2
