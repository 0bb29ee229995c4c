DELETE FROM login_failure WHERE login = $1
