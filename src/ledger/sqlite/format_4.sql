-- From format 3 to 4: deliveries are numbered, and their ids are found in segments of neighbouring rows, so that a claim
-- writes to few pages. A primary key cannot be added, so deliveries are copied.

create table deliveries_4 (
    number integer primary key,             -- in the order of writing; means nothing else
    job text not null references jobs (job),
    profile_id text not null,               -- as in the warehouse; "hmac:..." where the id is an address or no short text
    occasion text not null,                 -- such as "campaigns:50" or "2026-W46/acct_7"
    delivery_id text not null,              -- the only id that leaves for a provider
    state text not null check (state in ('dispatched', 'accepted', 'rejected', 'retryable', 'unknown', 'superseded',
        'expired', 'baselined', 'invalid_address', 'suppressed', 'render_failed', 'same_address', 'held_out', 'deferred',
        'withdrawn')),
    reason text,                            -- one reason or the provider's code, without personal data
    level real,
    reached_at text not null,
    detected_at text not null,              -- wall clock: when a run first saw it
    dispatched_at text,                     -- clock of the run that last dispatched it (as_of under --replay)
    settled_at text,                        -- wall clock: last outcome
    updated_at text not null,               -- wall clock: last change
    batch_id text references batches (batch_id),
    position integer,                       -- place in the batch, from 0
    attempt integer not null,               -- how often it was dispatched
    provider text,
    provider_message_id text,
    address_hash text,                      -- HMAC of the normalised address, to see that two were equal
    body_hash text,                         -- 128 bits of a hash of every byte that left
    run_id text not null,                   -- the run that last dispatched or decided it
    epoch integer not null,                 -- and the epoch of its lease
    not_before text,                        -- a deferred one: the earliest instant at which it may be mailed
    variant text,                           -- which of the message's variants, chosen when it qualified
    unique (job, profile_id, occasion)
) strict;
insert into deliveries_4 (job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, dispatched_at, settled_at,
    updated_at, batch_id, position, attempt, provider, provider_message_id, address_hash, body_hash, run_id, epoch,
    not_before, variant)
select job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, dispatched_at, settled_at,
    updated_at, batch_id, position, attempt, provider, provider_message_id, address_hash, body_hash, run_id, epoch,
    not_before, variant
from deliveries order by rowid;
drop table deliveries;
alter table deliveries_4 rename to deliveries;
create index deliveries_by_id on deliveries (number >> 13, substr(delivery_id, 1, 6));
create index deliveries_in_doubt on deliveries (substr(delivery_id, 1, 6))
    where state = 'dispatched' or state = 'unknown';
create index deliveries_by_address on deliveries (substr(address_hash, 1, 6)) where address_hash is not null;
create index deliveries_deferred on deliveries (job) where state = 'deferred';

update meta set value = '4' where key = 'format_version';
