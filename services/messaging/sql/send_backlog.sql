SELECT count(*), COALESCE(EXTRACT(EPOCH FROM now() - min(due_time)), 0)::bigint FROM send WHERE bucket = ANY ($1) AND due_time <= now()
