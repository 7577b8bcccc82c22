-- Everybody with a login, and the streak that still runs.
with days as (
    select distinct user_id, day
    from sittings
    where event = 'document_edited' and timestamp <= $as_of
),

streaks as (
    select
        people.user_id,
        streak(days.day, local_day($as_of, coalesce(people.timezone, 'Europe/London'))) as streak_days,
        longest_streak(days.day) as longest_streak_days
    from people
    left join days on days.user_id = people.user_id
    group by people.user_id
)

select
    people.user_id as profile_id,
    people.email,
    people.first_name,
    people.timezone,
    people.joined_at,
    streaks.streak_days,
    streaks.longest_streak_days,
    -- Without a token no mail can be rendered: nobody gets one that cannot be left.
    coalesce(people.token, '') as token
from people
left join streaks on streaks.user_id = people.user_id
