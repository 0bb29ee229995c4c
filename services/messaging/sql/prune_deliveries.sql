DELETE FROM delivery WHERE create_time < $1
