-- Every workout with the day and month it was where the person trained.
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
    date_format(local_month(workouts.finished_at, coalesce(people.timezone, 'America/New_York')), '%m') as month
from workouts
join people on people.user_id = workouts.user_id
