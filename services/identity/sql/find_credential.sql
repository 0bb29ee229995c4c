SELECT password_hash FROM credential_view WHERE user_id = $1
