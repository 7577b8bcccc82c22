-- Everybody with a login, at home in one workspace, and how many are there with them.
with sizes as (
    select workspace_id, count(*) as people
    from people
    group by workspace_id
)

select
    people.user_id as profile_id,
    people.email,
    people.first_name,
    people.timezone,
    coalesce(people.workspace_id, '') as workspace_id,
    coalesce(workspaces.name, 'your workspace') as workspace_name,
    sizes.people - 1 as teammates,
    -- Without a token no mail can be rendered: nobody gets one that cannot be left.
    coalesce(people.token, '') as token
from people
join sizes on sizes.workspace_id = people.workspace_id
left join workspaces on workspaces.workspace_id = people.workspace_id
