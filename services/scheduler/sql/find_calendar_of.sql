SELECT id FROM calendar_view WHERE coalesce(user_id, team_id, tenant_id) = coalesce($1::uuid, $2::uuid, tenant_id) AND delete_time IS NULL
