-- A new row's fence is the time in microseconds, so that no claim of a former timer of this name, which was spent and is set anew, fits it.
INSERT INTO timer (tenant_id, id, bucket, kind, subject, key, due_time, wake_time, payload, fence, attempts, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, '')
ON CONFLICT (tenant_id, id) DO UPDATE SET due_time = excluded.due_time, wake_time = excluded.due_time,
  payload = excluded.payload, fence = timer.fence + 1, attempts = 0, error = '', holder = ''
