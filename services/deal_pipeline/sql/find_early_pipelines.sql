-- Whether somebody has made a default pipeline before the package's came, and whether one of its name ($1).
SELECT coalesce(bool_or(is_default), false), coalesce(bool_or(name = $1), false) FROM pipeline_view
WHERE delete_time IS NULL AND (is_default OR name = $1)
