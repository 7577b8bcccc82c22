-- A day on which somebody wrote more than on any day before, once the day is over and there are five to beat.
with days as (
    select user_id, day, sum(words) as words, count(distinct document_id) as documents, max(timestamp) as reached_at
    from sittings
    where event = 'document_edited' and timestamp <= $as_of
    group by user_id, day
),

compared as (
    select
        *,
        max(words) over earlier as words_before,
        count(*) over earlier as days_before
    from days
    window earlier as (partition by user_id order by day rows between unbounded preceding and 1 preceding)
)

select
    compared.user_id as profile_id,
    compared.reached_at,
    'best_day@' || cast(compared.day as varchar) as occasion,
    compared.day,
    compared.words as value,
    compared.words_before,
    compared.documents
from compared
join people on people.user_id = compared.user_id
where
    compared.days_before >= 5
    and compared.words > compared.words_before
    and compared.day < local_day($as_of, coalesce(people.timezone, 'Europe/London'))
