-- $3 is the revision that was read; somebody who saved meanwhile leaves nothing to change.
INSERT INTO rule_set (tenant_id, bucket, revision, update_time) VALUES ($1, $2, $3::bigint + 1, clock_timestamp())
ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision, update_time = excluded.update_time
WHERE rule_set.revision = $3::bigint RETURNING 1
