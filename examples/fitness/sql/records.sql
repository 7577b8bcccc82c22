-- The personal records, each an occasion of its own.
select
    user_id as profile_id,
    finished_at as reached_at,
    'record:' || discipline || '@' || workout_id as occasion,
    pace as value,
    pace_before,
    discipline,
    instructor,
    minutes,
    kilometres,
    kilojoules
from trainings
where record is not null and finished_at <= $as_of
