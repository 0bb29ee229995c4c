SELECT clock_timestamp() + make_interval(secs => coalesce((SELECT offset_seconds FROM clock_view), 0))
