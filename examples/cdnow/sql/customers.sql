-- Everybody who ever bought. The data has no addresses, so each person gets one that leads nowhere.
select
    customer_id as profile_id,
    'customer_' || customer_id || '@example.test' as email,
    min(purchased_at) as first_purchase_at
from purchases
where customer_id is not null
group by customer_id
