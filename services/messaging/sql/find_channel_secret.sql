SELECT sealed FROM channel_secret_view WHERE channel_id = $1
