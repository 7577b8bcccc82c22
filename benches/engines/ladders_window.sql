-- The ladders in DuckDB: windows alone.
with counted as (
  select user_id, event, happened_at,
    row_number() over (partition by user_id, event order by happened_at) as position,
    count(*) over (partition by user_id, event) as total
  from events
  where user_id is not null and happened_at <= timestamptz '2027-01-01 00:00:00+00'
    and event in ('design_created', 'document_edited')
), running as (
  select user_id, happened_at,
    round(sum(amount) over (partition by user_id order by happened_at rows unbounded preceding), 6) as total
  from events
  where user_id is not null and happened_at <= timestamptz '2027-01-01 00:00:00+00' and event = 'order_paid'
), spent as (
  select user_id, min(happened_at) filter (where total >= 500) as reached_at, max(total) as total
  from running group by user_id
), flags as (
  select user_id, 'designs' as milestone, position as level, happened_at as reached_at, total::double as value
  from counted where event = 'design_created' and position in (1, 10)
  union all select user_id, 'documents', position, happened_at, total
  from counted where event = 'document_edited' and position in (10, 100)
  union all select user_id, 'spent', 500, reached_at, total from spent where reached_at is not null
)
select profile_id, milestone, level, true as flag, reached_at, value
from flags join people on profile_id = user_id
