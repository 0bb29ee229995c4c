-- We were in touch; earlier touches that are heard of later change nothing.
UPDATE contact SET last_touch_time = $3, last_touch_kind = $4, last_touch_direction = $5
WHERE tenant_id = $1 AND id = $2 AND (last_touch_time IS NULL OR last_touch_time < $3)
