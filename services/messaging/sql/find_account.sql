SELECT record FROM account_view WHERE user_id = $1
