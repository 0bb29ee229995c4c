INSERT INTO clock (tenant_id, bucket, offset_seconds) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET offset_seconds = clock.offset_seconds + excluded.offset_seconds
