-- Who decides about a workspace's plan.
select
    people.user_id as profile_id,
    people.email,
    people.first_name,
    people.timezone,
    coalesce(people.workspace_id, '') as workspace_id,
    coalesce(workspaces.name, 'your workspace') as workspace_name,
    coalesce(workspaces.plan, 'free') as plan,
    coalesce(people.token, '') as token
from people
left join workspaces on workspaces.workspace_id = people.workspace_id
where people.role = 'admin'
