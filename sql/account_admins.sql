-- One row per admin and account: somebody who looks after two accounts appears twice.
select
    members.user_id as profile_id,
    people.email,
    people.first_name,
    coalesce(people.timezone, 'UTC') as timezone,
    accounts.account_id,
    coalesce(accounts.name, 'your workspace') as account_name,
    accounts.created_at as account_created_at,
    coalesce(people.unsubscribe_token, '') as unsubscribe_token
from members
join people on people.user_id = members.user_id
join accounts on accounts.account_id = members.account_id
where members.role = 'admin'
