SELECT failure_count, last_time FROM login_failure WHERE login = $1
