-- From format 2 to 3: what provider accounts have given out, and an index that costs a claim less.

create table allowances (
    provider text primary key not null,     -- its name in the project
    next_start text not null,               -- when the next request may start under the limit per second
    day text not null,                      -- "2026-11-22", in UTC
    messages integer not null               -- given out on that day
) strict, without rowid;

drop index deliveries_by_id;
create index deliveries_by_id on deliveries (substr(delivery_id, 1, 8));

update meta set value = '3' where key = 'format_version';
