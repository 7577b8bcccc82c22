-- The own view in DuckDB, joined with its recipients.
with activity as (
  select account_id, event,
    count(*) filter (where seconds > 300) as long,
    count(*) filter (where amount > 0) as paid,
    count(distinct user_id) filter (where seconds > 300) as people
  from events
  where happened_at >= timestamptz '2026-11-01 00:00:00+00' and happened_at < timestamptz '2027-01-01 00:00:00+00'
  group by account_id, event
), busy as (
  select account_id, (sum(people) + sum(long) + sum(paid))::bigint as value from activity group by account_id
)
select profile_id, account_id as entity_id, 'busy' as milestone, true as flag, value from busy join admins using (account_id)
