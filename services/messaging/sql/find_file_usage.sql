SELECT bytes FROM file_usage_view
