-- Asked not to be mailed any more.
select user_id as profile_id, 'unsubscribed' as reason
from people
where unsubscribed_on is not null
