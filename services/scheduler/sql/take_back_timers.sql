UPDATE timer SET wake_time = due_time, holder = '' WHERE holder = $1 AND holder <> ''
