-- What the attempt of the claim that ends at $3 came to; $5: milliseconds until the next, or NULL.
UPDATE delivery SET revision = revision + 1, status = $4, next_attempt_time = now() + $5::bigint * interval '1 millisecond',
  lease_until = NULL, response_status = $6, response_body = $7, error = $8, duration_ms = $9, update_time = now()
WHERE tenant_id = $1 AND id = $2 AND lease_until = $3 AND status = 1 RETURNING 1
