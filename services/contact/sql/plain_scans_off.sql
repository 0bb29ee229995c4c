-- For the rest of this batch: a plain scan of an ordering index that filters row by row looks cheap to the planner, and is not.
SELECT set_config('enable_indexscan', 'off', true)
