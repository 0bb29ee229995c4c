DELETE FROM access_change WHERE create_time < now() - interval '2 hours'
