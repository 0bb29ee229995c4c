SELECT hash FROM api_key_secret_view WHERE key_id = $1
