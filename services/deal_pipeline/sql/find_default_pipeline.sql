SELECT id FROM pipeline_view WHERE is_default AND delete_time IS NULL
