-- From format 1 to 2: decisions that wait, holdouts, variants, suppressions, halts and volumes. The tables become those of
-- schema.sql; a check cannot be altered, so deliveries are copied.

alter table jobs add column category text not null default 'marketing';

-- How many mails complete runs made, by period of a recap ("2026-W46") or by day of milestones (UTC, "2026-11-21"): what
-- is usual.
create table volumes (
    job text not null references jobs (job),
    bucket text not null,
    mails integer not null,
    updated_at text not null,
    primary key (job, bucket)
) strict, without rowid;

create table deliveries_2 (
    job text not null references jobs (job),
    profile_id text not null,               -- as in the warehouse; "hmac:..." where the id is an address
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
    body_hash text,                         -- 128 bits of the SHA-256 of every byte that left
    run_id text not null,                   -- the run that last dispatched or decided it
    epoch integer not null,                 -- and the epoch of its lease
    not_before text,                        -- a deferred one: the earliest instant at which it may be mailed
    variant text,                           -- which of the message's variants, chosen when it qualified
    unique (job, profile_id, occasion)
) strict;
insert into deliveries_2 (job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, dispatched_at, settled_at,
    updated_at, batch_id, position, attempt, provider, provider_message_id, address_hash, body_hash, run_id, epoch)
select job, profile_id, occasion, delivery_id, state, reason, level, reached_at, detected_at, dispatched_at, settled_at,
    updated_at, batch_id, position, attempt, provider, provider_message_id, address_hash, body_hash, run_id, epoch
from deliveries;
drop table deliveries;
alter table deliveries_2 rename to deliveries;
create unique index deliveries_by_id on deliveries (delivery_id);
-- What recovery looks for; small, since nearly every delivery is settled. Written with "or": SQLite uses a partial index
-- for "state = 'unknown'" only where its condition has that very term.
create index deliveries_in_doubt on deliveries (job, state) where state = 'dispatched' or state = 'unknown';
-- Which deliveries an address has: the first digits find them, at a third of the size.
create index deliveries_by_address on deliveries (substr(address_hash, 1, 10)) where address_hash is not null;
create index deliveries_deferred on deliveries (job) where state = 'deferred';

-- Whom milepost must not mail, beside the project's own table. "unsubscribed" stands in the way of marketing, for one job
-- or all; every other reason stands in the way of everything.
create table suppressions (
    kind text not null check (kind in ('profile', 'address')),
    subject text not null,                  -- a profile_id as in deliveries, or an address_hash
    reason text not null check (reason in ('unsubscribed', 'bounce', 'complaint', 'erase', 'manual')),
    job text not null,                      -- "" for all jobs
    origin text not null,                   -- who said so, such as "command line"
    created_at text not null,
    lifted_at text,                         -- null while it stands
    primary key (kind, subject, reason, job)
) strict, without rowid;

-- Jobs that no run may claim deliveries of.
create table halts (
    job text primary key not null,          -- "" for all jobs
    reason text,
    halted_at text not null
) strict, without rowid;

-- Changes of state that a person made, with the reason: how an unknown outcome was cleared, why a refusal was tried again.
create table corrections (
    delivery_id text not null,
    corrected_at text not null,
    from_state text not null,
    to_state text not null,
    reason text not null,                   -- as the person wrote it
    corrected_by text not null,             -- who, as the person or the system says
    primary key (delivery_id, corrected_at)
) strict, without rowid;

update meta set value = '2' where key = 'format_version';
