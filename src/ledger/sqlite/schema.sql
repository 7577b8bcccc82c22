-- The ledger of milepost in SQLite, format 4. Stable: analysts may query every table here (open it read-only).
--
-- Instants are text in RFC 3339, always UTC with microseconds ("2026-11-21T20:50:03.000000Z"), so that text order is time
-- order and SQLite's date functions read them. Identifiers that milepost makes are 32 hexadecimal digits.
-- No table holds an address, a name or a mail's text. Only milepost may write: one writer per job holds an operating
-- system lock on "<ledger>.<job>.lock" beside this file, and every write checks the job's epoch.

pragma application_id = 1836085107;

-- One row per fact about the ledger itself: format_version, project, environment (absent for none), created_at, and
-- identity_key, the secret (64 hexadecimal digits) behind delivery ids and address hashes. Treat a copy like a password.
create table meta (
    key text primary key not null,
    value text not null
) strict, without rowid;

-- One row per job that ever ran.
create table jobs (
    job text primary key not null,          -- the name in jobs/*.yml
    created_at text not null,               -- wall clock of its first run
    first_completed_at text,                -- wall clock of its first completed unrestricted run; null until then
    last_provider text,                     -- name/kind of the last run that was not refused, such as "local/outbox"
    category text not null default 'marketing' -- marketing | transactional, as of its last run: caps count marketing
) strict, without rowid;

-- When parts of a job begin to count under "start: from_now"; written by completed unrestricted runs, never changed.
create table starts (
    job text not null references jobs (job),
    part text not null,                     -- "milestone", "milestone:level", or "" for a recap
    starts_at text not null,                -- the as_of of the run that first saw the part
    primary key (job, part)
) strict, without rowid;

-- Who holds a job, or held it last.
create table leases (
    job text primary key not null references jobs (job),
    epoch integer not null,                 -- rises with every run; a write with a lower one is refused
    run_id text not null,
    taken_at text not null,
    heartbeat_at text not null,
    released_at text                        -- null while held, and after a crash until the next run
) strict, without rowid;

-- One row per run and job that took the job's lease.
create table runs (
    run_id text not null,                   -- the same for all jobs of one run
    job text not null references jobs (job),
    epoch integer not null,
    as_of text not null,                    -- the run's logical now
    started_at text not null,
    ended_at text,
    status text not null,                   -- running | abandoned | completed | refused | failed | interrupted
    provider text,                          -- name/kind
    counts text not null default '{}',      -- JSON object: decision or state -> count
    primary key (job, epoch)
) strict, without rowid;

-- How many mails complete runs made, by period of a recap ("2026-W46") or by day of milestones (UTC, "2026-11-21"): what
-- is usual.
create table volumes (
    job text not null references jobs (job),
    bucket text not null,
    mails integer not null,
    updated_at text not null,
    primary key (job, bucket)
) strict, without rowid;

-- What a provider account with a limit has given out, to all processes that use this ledger.
create table allowances (
    provider text primary key not null,     -- its name in the project
    next_start text not null,               -- when the next request may start under the limit per second
    day text not null,                      -- "2026-11-22", in UTC
    messages integer not null               -- given out on that day
) strict, without rowid;

-- The frozen inputs of one request, enough to make it again byte for byte.
create table batches (
    batch_id text primary key not null,
    provider text not null,                 -- the provider's name in the project
    idempotency_key text,                   -- null when the provider honours none
    as_of text not null,                    -- of the evaluation that made it
    period text,                            -- a recap's period key
    project_checksum text not null,
    dispatched_at text not null,
    size integer not null                   -- deliveries in the request
) strict, without rowid;

-- One row per (job, profile, occasion): at most one dispatch is ever in doubt or accepted for it.
create table deliveries (
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
-- Ids are random, and a wave that writes all over an index writes it whole. So ids are kept in segments of 8192 rows, and
-- their first digits find them there: one look-up per segment. No two are the same, since an id is made from the row's key.
create index deliveries_by_id on deliveries (number >> 13, substr(delivery_id, 1, 6));
-- What outcomes and recovery look for, of all jobs; small, since nearly every delivery is settled. Written with "or":
-- SQLite uses a partial index for "state = 'unknown'" only where its condition has that very term.
create index deliveries_in_doubt on deliveries (substr(delivery_id, 1, 6))
    where state = 'dispatched' or state = 'unknown';
-- Which deliveries an address has: the first digits find them, at a third of the size.
create index deliveries_by_address on deliveries (substr(address_hash, 1, 6)) where address_hash is not null;
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
