-- The recap's matrix in DuckDB.
with measured as (
  select account_id, case when happened_at >= timestamptz '2026-12-01 00:00:00+00' then 0 else 1 end as month,
    count(distinct user_id) as people,
    count(distinct user_id) filter (where event = 'design_created') as designers,
    count(*) as events,
    sum(seconds) / 60.0 as minutes,
    max(seconds) as longest,
    avg(seconds) as usual,
    sum(amount) as paid,
    count(*) filter (where event = 'page_viewed') as pages,
    count(*) filter (where event = 'document_edited') as edits,
    count(*) filter (where event = 'design_created') as designs,
    count(*) filter (where event = 'file_shared') as files,
    count(*) filter (where event = 'comment_added') as comments
  from events
  where account_id is not null
    and happened_at >= timestamptz '2026-11-01 00:00:00+00' and happened_at < timestamptz '2027-01-01 00:00:00+00'
  group by all
), matrix as (
  select account_id,
    coalesce(max(people) filter (where month = 0), 0) as people,
    coalesce(max(people) filter (where month = 1), 0) as people_previous,
    coalesce(max(designers) filter (where month = 0), 0) as designers,
    coalesce(max(designers) filter (where month = 1), 0) as designers_previous,
    coalesce(max(events) filter (where month = 0), 0) as events,
    coalesce(max(events) filter (where month = 1), 0) as events_previous,
    coalesce(max(minutes) filter (where month = 0), 0) as minutes,
    coalesce(max(minutes) filter (where month = 1), 0) as minutes_previous,
    max(longest) filter (where month = 0) as longest,
    max(longest) filter (where month = 1) as longest_previous,
    max(usual) filter (where month = 0) as usual,
    max(usual) filter (where month = 1) as usual_previous,
    coalesce(max(paid) filter (where month = 0), 0) as paid,
    coalesce(max(paid) filter (where month = 1), 0) as paid_previous,
    coalesce(max(pages) filter (where month = 0), 0) as pages,
    coalesce(max(pages) filter (where month = 1), 0) as pages_previous,
    coalesce(max(edits) filter (where month = 0), 0) as edits,
    coalesce(max(edits) filter (where month = 1), 0) as edits_previous,
    coalesce(max(designs) filter (where month = 0), 0) as designs,
    coalesce(max(designs) filter (where month = 1), 0) as designs_previous,
    coalesce(max(files) filter (where month = 0), 0) as files,
    coalesce(max(files) filter (where month = 1), 0) as files_previous,
    coalesce(max(comments) filter (where month = 0), 0) as comments,
    coalesce(max(comments) filter (where month = 1), 0) as comments_previous
  from measured group by account_id
)
select account_id as entity_id, '2026-12' as period_key, matrix.* exclude (account_id)
from matrix full join (select distinct account_id as id from admins) on id = account_id
