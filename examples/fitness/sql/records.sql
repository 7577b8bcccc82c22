-- Personal records: a workout with more output a minute than any before it in its discipline and of at least 20 minutes,
-- once there are five to beat.
with measured as (
    select *, round(kilojoules * 1.0 / minutes, 2) as pace
    from trainings
    where kilojoules is not null and minutes >= 20 and finished_at <= $as_of
),

compared as (
    select
        *,
        max(pace) over earlier as pace_before,
        count(*) over earlier as workouts_before
    from measured
    window earlier as (
        partition by user_id, discipline
        order by finished_at, workout_id
        rows between unbounded preceding and 1 preceding
    )
)

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
from compared
where workouts_before >= 5 and pace > pace_before
