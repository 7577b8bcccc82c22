-- An audience that is computed: everybody who did something, with how much of it lately.
select
  user_id as profile_id,
  user_id || '@acme.test' as email,
  account_id,
  count(*) filter (where happened_at >= timestamp '2026-12-01 00:00:00') as recent,
  max(happened_at) as seen
from events
where user_id is not null
group by user_id, account_id
