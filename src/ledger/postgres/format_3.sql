-- From format 2 to 3: what provider accounts have given out.

-- What a provider account with a limit has given out, to all processes that use this ledger.
create table allowances (
    provider text primary key,              -- its name in the project
    next_start timestamptz not null,        -- when the next request may start under the limit per second
    day text not null,                      -- "2026-11-22", in UTC
    messages bigint not null                -- given out on that day
);
