INSERT INTO login_failure AS f (login, failure_count, last_time) VALUES ($1, 1, now())
ON CONFLICT (login) DO UPDATE SET last_time = now(),
  failure_count = CASE WHEN f.last_time < now() - interval '15 minutes' THEN 1 ELSE f.failure_count + 1 END
