SELECT number, data FROM file_chunk_view WHERE file_id = $1 AND number >= $2::int AND number < $2::int + $3::int ORDER BY number
