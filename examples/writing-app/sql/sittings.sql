-- Every event with the day it was for its writer: who writes at 23:30 in Auckland does not write on tomorrow's UTC day.
select
    events.message_id,
    events.event,
    events.user_id,
    events.timestamp,
    events.document_id,
    events.words,
    events.different_words,
    events.category,
    events.corrections,
    local_day(events.timestamp, coalesce(people.timezone, 'Europe/London')) as day
from events
join people on people.user_id = events.user_id
