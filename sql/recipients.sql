-- Everybody with a login, one row each: the audience of milestones and of the month in review.
with home as (
    -- People with two accounts are at home in the one they joined first.
    select user_id, min(account_id) as account_id
    from members
    group by user_id
)
select
    people.user_id as profile_id,
    people.email,
    people.first_name,
    coalesce(people.timezone, 'UTC') as timezone,
    coalesce(accounts.name, 'your workspace') as account_name,
    people.created_at,
    -- Without a token no mail can be rendered: nobody gets one that cannot be left.
    coalesce(people.unsubscribe_token, '') as unsubscribe_token
from people
left join home on home.user_id = people.user_id
left join accounts on accounts.account_id = home.account_id
