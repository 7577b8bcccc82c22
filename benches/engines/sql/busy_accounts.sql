-- The same as an own view: the accounts and events with many people.
select account_id, event as occasion, long, paid, people as value
from (
  select account_id, event,
    count(*) filter (where seconds > 300) as long,
    count(*) filter (where amount > 0) as paid,
    count(distinct user_id) filter (where seconds > 300) as people
  from events
  where happened_at >= timestamp '2026-11-01 00:00:00' and happened_at < timestamp '2027-01-01 00:00:00'
  group by account_id, event
)
