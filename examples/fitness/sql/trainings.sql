-- Every workout with the day and month it was where the person trained, and whether it was a personal record: more output
-- a minute than any before it in its discipline, in at least 20 minutes, once there are five to beat.
with local as (
    select
        workouts.workout_id,
        workouts.user_id,
        workouts.finished_at,
        workouts.discipline,
        workouts.instructor,
        workouts.minutes,
        workouts.kilometres,
        workouts.kilojoules,
        local_day(workouts.finished_at, coalesce(people.timezone, 'America/New_York')) as day,
        date_format(local_month(workouts.finished_at, coalesce(people.timezone, 'America/New_York')), '%m') as month,
        case when workouts.minutes >= 20 then round(workouts.kilojoules * 1.0 / workouts.minutes, 2) end as pace
    from workouts
    join people on people.user_id = workouts.user_id
),

compared as (
    select
        *,
        max(pace) over earlier as pace_before,
        count(pace) over earlier as workouts_before
    from local
    window earlier as (
        partition by user_id, discipline
        order by finished_at, workout_id
        rows between unbounded preceding and 1 preceding
    )
)

select
    *,
    -- The discipline where it is a record, else null.
    case when workouts_before >= 5 and pace > pace_before then discipline end as record
from compared
