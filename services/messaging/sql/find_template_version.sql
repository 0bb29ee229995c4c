SELECT update_time FROM template_history_view WHERE id = $1 AND revision = $2
