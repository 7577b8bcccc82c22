-- Three filtered counts by account and event, two months beside each other, with a row for every account as a whole.
with measured as (
  select account_id, event, grouping(event) = 1 as is_whole,
    case when happened_at >= timestamptz '2026-12-01 00:00:00+00' then 0 else 1 end as month,
    count(*) filter (where seconds > 300) as long,
    count(*) filter (where amount > 0) as paid,
    count(distinct user_id) filter (where seconds > 300) as people
  from events
  where account_id is not null
    and happened_at >= timestamptz '2026-11-01 00:00:00+00' and happened_at < timestamptz '2027-01-01 00:00:00+00'
  group by grouping sets ((1, 4), (1, 2, 4))
)
select account_id as entity_id, '2026-12' as period_key, event as by_value,
  coalesce(max(long) filter (where month = 0), 0) as long, coalesce(max(long) filter (where month = 1), 0) as long_previous,
  coalesce(max(paid) filter (where month = 0), 0) as paid, coalesce(max(paid) filter (where month = 1), 0) as paid_previous,
  coalesce(max(people) filter (where month = 0), 0) as people,
  coalesce(max(people) filter (where month = 1), 0) as people_previous
from measured
group by account_id, event, is_whole
