-- The month of each account in DuckDB, with the audience computed once and checked as milepost checks it.
with segments as materialized (
  select user_id as profile_id, user_id || '@acme.test' as email, account_id,
    count(*) filter (where happened_at >= timestamptz '2026-12-01 00:00:00+00') as recent,
    max(happened_at) as seen
  from events where user_id is not null
  group by user_id, account_id
), month as (
  select account_id, count(*) as events, sum(seconds) / 60.0 as minutes, count(distinct user_id) as people
  from events
  where happened_at >= timestamptz '2026-12-01 00:00:00+00' and happened_at < timestamptz '2027-01-01 00:00:00+00'
    and account_id is not null
  group by account_id
)
select coalesce(month.account_id, listed.account_id) as entity_id, '2026-12' as period_key,
  coalesce(events, 0) as events, coalesce(minutes, 0) as minutes, coalesce(people, 0) as people
from month full join (select distinct account_id from segments) as listed using (account_id)
where (select count(*) = count(distinct (profile_id, account_id)) from segments)
