INSERT INTO tenant (tenant_id, time_zone, language, working_hours) VALUES ($1, $2, $3, $4::text::jsonb)
ON CONFLICT (tenant_id) DO UPDATE SET time_zone = excluded.time_zone, language = excluded.language,
  working_hours = excluded.working_hours
