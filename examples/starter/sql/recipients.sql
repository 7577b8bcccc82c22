-- The audience of both jobs: one row per person, with whatever the templates show.
select
    coalesce(user_id, '') as profile_id,
    email,
    coalesce(first_name, 'friend') as first_name,
    coalesce(timezone, 'UTC') as timezone
from people
where user_id is not null
