SELECT parts_hashed, state FROM file_digest_view WHERE file_id = $1
