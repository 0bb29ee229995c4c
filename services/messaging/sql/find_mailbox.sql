SELECT owner_tenant, channel_id FROM mailbox WHERE address = $1
