-- The same query as an own view: what the accounts add up to.
select account_id, sum(people) + sum(long) + sum(paid) as value
from (
  select account_id, event,
    count(*) filter (where seconds > 300) as long,
    count(*) filter (where amount > 0) as paid,
    count(distinct user_id) filter (where seconds > 300) as people
  from events
  where happened_at >= timestamp '2026-11-01 00:00:00' and happened_at < timestamp '2027-01-01 00:00:00'
  group by account_id, event
)
group by account_id
