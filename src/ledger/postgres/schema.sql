-- The ledger of milepost in PostgreSQL, format 2. Stable: analysts may query every table here. The tables stand in a
-- schema of their own, `milepost` unless the ledger's URL says `?schema=NAME`.
--
-- Identifiers that milepost makes are 32 hexadecimal digits. No table holds an address, a name or a mail's text. Only
-- milepost may write: every write checks, in its own transaction, that the run still holds the job's lease.
-- Texts compare byte by byte (collation "C"), so that order never depends on the server's language.

-- One row per fact about the ledger itself: format_version, project, environment (absent for none), created_at, and
-- identity_key, the secret (64 hexadecimal digits) behind delivery ids and address hashes. Treat a copy like a password.
create table meta (
    key text collate "C" primary key,
    value text not null
);

-- One row per job that ever ran.
create table jobs (
    job text collate "C" primary key,       -- the name in jobs/*.yml
    created_at timestamptz not null,        -- wall clock of its first run
    first_completed_at timestamptz,         -- wall clock of its first completed unrestricted run; null until then
    last_provider text,                     -- name/kind of the last run that was not refused, such as "local/outbox"
    category text not null default 'marketing' -- marketing | transactional, as of its last run: caps count marketing
);

-- When parts of a job begin to count under "start: from_now"; written by completed unrestricted runs, never changed.
create table starts (
    job text collate "C" not null references jobs (job),
    part text collate "C" not null,         -- "milestone", "milestone:level", or "" for a recap
    starts_at timestamptz not null,         -- the as_of of the run that first saw the part
    primary key (job, part)
);

-- Who holds a job, or held it last. A lease is live for 30 s after its last heartbeat, by this server's clock.
create table leases (
    job text collate "C" primary key references jobs (job),
    epoch bigint not null,                  -- rises with every run; a write with a lower one is refused
    run_id text not null,
    taken_at timestamptz not null,          -- this server's clock
    heartbeat_at timestamptz not null,      -- this server's clock
    released_at timestamptz                 -- null while held, and after a crash until the next run
);

-- One row per run and job that took the job's lease.
create table runs (
    run_id text not null,                   -- the same for all jobs of one run
    job text collate "C" not null references jobs (job),
    epoch bigint not null,
    as_of timestamptz not null,             -- the run's logical now
    started_at timestamptz not null,
    ended_at timestamptz,
    status text not null,                   -- running | abandoned | completed | refused | failed | interrupted
    provider text,                          -- name/kind
    counts text not null default '{}',      -- JSON object: decision or state -> count
    primary key (job, epoch)
);

-- How many mails complete runs made, by period of a recap ("2026-W46") or by day of milestones (UTC, "2026-11-21"): what
-- is usual.
create table volumes (
    job text collate "C" not null references jobs (job),
    bucket text collate "C" not null,
    mails bigint not null,
    updated_at timestamptz not null,
    primary key (job, bucket)
);

-- The frozen inputs of one request, enough to make it again byte for byte.
create table batches (
    batch_id text collate "C" primary key,
    provider text not null,                 -- the provider's name in the project
    idempotency_key text,                   -- null when the provider honours none
    as_of timestamptz not null,             -- of the evaluation that made it
    period text,                            -- a recap's period key
    project_checksum text not null,
    dispatched_at timestamptz not null,
    size integer not null                   -- deliveries in the request
);

-- One row per (job, profile, occasion): at most one dispatch is ever in doubt or accepted for it.
create table deliveries (
    job text collate "C" not null,          -- of jobs; neither this nor batch_id is a foreign key, which would cost each
                                            -- claim a look-up: `milepost ledger check` looks
    profile_id text collate "C" not null,   -- as in the warehouse; "hmac:..." where the id is an address or no short text
    occasion text collate "C" not null,     -- such as "campaigns:50" or "2026-W46/acct_7"
    delivery_id text collate "C" not null,  -- the only id that leaves for a provider
    state text not null check (state in ('dispatched', 'accepted', 'rejected', 'retryable', 'unknown', 'superseded',
        'expired', 'baselined', 'invalid_address', 'suppressed', 'render_failed', 'same_address', 'held_out', 'deferred',
        'withdrawn')),
    reason text,                            -- one reason or the provider's code, without personal data
    level double precision,
    reached_at timestamptz not null,
    detected_at timestamptz not null,       -- wall clock: when a run first saw it
    dispatched_at timestamptz,              -- clock of the run that last dispatched it (as_of under --replay)
    settled_at timestamptz,                 -- wall clock: last outcome
    updated_at timestamptz not null,        -- wall clock: last change
    batch_id text collate "C",              -- of batches
    position integer,                       -- place in the batch, from 0
    attempt integer not null,               -- how often it was dispatched
    provider text,
    provider_message_id text,
    address_hash text collate "C",          -- HMAC of the normalised address, to see that two were equal
    body_hash text,                         -- 128 bits of a hash of every byte that left
    run_id text not null,                   -- the run that last dispatched or decided it
    epoch bigint not null,                  -- and the epoch of its lease
    not_before timestamptz,                 -- a deferred one: the earliest instant at which it may be mailed
    variant text,                           -- which of the message's variants, chosen when it qualified
    primary key (job, profile_id, occasion)
);
create unique index deliveries_by_id on deliveries (delivery_id);
-- What recovery looks for; small, since nearly every delivery is settled.
create index deliveries_in_doubt on deliveries (job, state) where state = 'dispatched' or state = 'unknown';
-- Which deliveries an address has: the first digits find them, at a third of the size.
create index deliveries_by_address on deliveries (substr(address_hash, 1, 10)) where address_hash is not null;
create index deliveries_deferred on deliveries (job) where state = 'deferred';

-- Whom milepost must not mail, beside the project's own table. "unsubscribed" stands in the way of marketing, for one job
-- or all; every other reason stands in the way of everything.
create table suppressions (
    kind text collate "C" not null check (kind in ('profile', 'address')),
    subject text collate "C" not null,      -- a profile_id as in deliveries, or an address_hash
    reason text collate "C" not null check (reason in ('unsubscribed', 'bounce', 'complaint', 'erase', 'manual')),
    job text collate "C" not null,          -- "" for all jobs
    origin text not null,                   -- who said so, such as "command line"
    created_at timestamptz not null,
    lifted_at timestamptz,                  -- null while it stands
    primary key (kind, subject, reason, job)
);

-- Jobs that no run may claim deliveries of.
create table halts (
    job text collate "C" primary key,       -- "" for all jobs
    reason text,
    halted_at timestamptz not null
);

-- Changes of state that a person made, with the reason: how an unknown outcome was cleared, why a refusal was tried again.
create table corrections (
    delivery_id text collate "C" not null,
    corrected_at timestamptz not null,
    from_state text not null,
    to_state text not null,
    reason text not null,                   -- as the person wrote it
    corrected_by text not null,             -- who, as the person or the system says
    primary key (delivery_id, corrected_at)
);
