-- The same in DuckDB: a window for the running sum of all rows, the smallest times as lists for the counts.
with counted as (
  select user_id,
    min(happened_at, 10) filter (where event = 'design_created') as designs,
    count(*) filter (where event = 'design_created') as design_count,
    min(happened_at, 100) filter (where event = 'document_edited') as documents,
    count(*) filter (where event = 'document_edited') as document_count
  from events
  where user_id is not null and happened_at <= timestamptz '2027-01-01 00:00:00+00'
    and event in ('design_created', 'document_edited')
  group by user_id
), running as (
  select user_id, happened_at,
    sum(seconds) over (partition by user_id order by happened_at rows unbounded preceding) as total
  from events
  where user_id is not null and happened_at <= timestamptz '2027-01-01 00:00:00+00'
), hours as (
  select user_id, round(max(total), 6) as total,
    min(happened_at) filter (where total >= 3600) as first,
    min(happened_at) filter (where total >= 36000) as second,
    min(happened_at) filter (where total >= 360000) as third
  from running group by user_id
), flags as (
  select user_id, 'designs' as milestone, 1 as level, designs[1] as reached_at, design_count::double as value
  from counted where design_count >= 1
  union all select user_id, 'designs', 10, designs[10], design_count from counted where design_count >= 10
  union all select user_id, 'documents', 10, documents[10], document_count from counted where document_count >= 10
  union all select user_id, 'documents', 100, documents[100], document_count from counted where document_count >= 100
  union all select user_id, 'hours', 3600, first, total from hours where first is not null
  union all select user_id, 'hours', 36000, second, total from hours where second is not null
  union all select user_id, 'hours', 360000, third, total from hours where third is not null
)
select profile_id, milestone, level, true as flag, reached_at, value
from flags join people on profile_id = user_id
