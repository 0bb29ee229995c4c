SELECT number FROM file_part_view WHERE file_id = $1 ORDER BY number
