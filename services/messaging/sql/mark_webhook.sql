-- Since when nothing went well ($3: this did).
UPDATE webhook SET failing_since = CASE WHEN $3::boolean THEN NULL ELSE coalesce(failing_since, now()) END,
  last_success_time = CASE WHEN $3::boolean THEN now() ELSE last_success_time END
WHERE tenant_id = $1 AND id = $2
