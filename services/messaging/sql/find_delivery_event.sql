SELECT event FROM delivery_view WHERE id = $1
