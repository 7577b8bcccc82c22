-- The same ladders in DuckDB, with the audience computed once and checked as milepost checks it.
with segments as materialized (
  select user_id as profile_id, user_id || '@acme.test' as email, account_id,
    count(*) filter (where happened_at >= timestamptz '2026-12-01 00:00:00+00') as recent,
    max(happened_at) as seen
  from events where user_id is not null
  group by user_id, account_id
), counted as (
  select user_id,
    min(happened_at, 10) filter (where event = 'design_created') as designs,
    count(*) filter (where event = 'design_created') as design_count,
    min(happened_at, 100) filter (where event = 'document_edited') as documents,
    count(*) filter (where event = 'document_edited') as document_count
  from events
  where user_id is not null and happened_at <= timestamptz '2027-01-01 00:00:00+00'
    and event in ('design_created', 'document_edited')
  group by user_id
), flags as (
  select user_id, 'designs' as milestone, 1 as level, designs[1] as reached_at, design_count::double as value
  from counted where design_count >= 1
  union all select user_id, 'designs', 10, designs[10], design_count from counted where design_count >= 10
  union all select user_id, 'documents', 10, documents[10], document_count from counted where document_count >= 10
  union all select user_id, 'documents', 100, documents[100], document_count from counted where document_count >= 100
)
select profile_id, milestone, level, true as flag, reached_at, value
from flags join segments on profile_id = user_id
where (select count(*) = count(distinct profile_id) from segments)
