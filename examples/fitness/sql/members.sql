-- Everybody with a login.
select
    user_id as profile_id,
    email,
    first_name,
    timezone,
    joined_at,
    -- Without a token no mail can be rendered: nobody gets one that cannot be left.
    coalesce(token, '') as token
from people
