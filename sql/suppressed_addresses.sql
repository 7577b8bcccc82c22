-- Addresses that asked to leave, bounced or complained, spelt the way addresses compare.
select lower(trim(email)) as email, min(reason) as reason
from unsubscribes
where email is not null
group by lower(trim(email))
