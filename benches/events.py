#!/usr/bin/env python3
"""Writes events as months of zstd Parquet, the same for the same numbers; a billion rows need little more memory than one.

    benches/events.py FOLDER --events 100_000_000 --people 4_000_000

FOLDER/events/month=2025-01/events.parquet ... has `event_id`, `user_id` (2 % null), `account_id`, `event`, `happened_at`,
`seconds` and `amount`; FOLDER/people.parquet has `profile_id`, `email` and `account_id`, FOLDER/admins.parquet the first person of each account. Few people have most events, one bot has 1 %
of all, and its id is that of the first person. Needs pyarrow and numpy.
"""
import argparse
import datetime
import os

import numpy
import pyarrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

CHUNK = 1_000_000
NAMES = ["page_viewed", "document_edited", "file_uploaded", "logged_in", "comment_added", "design_created", "file_shared",
         "order_paid", "search_done", "invite_sent", "campaign_sent", "poll_created", "export_done", "settings_changed",
         "plan_changed", "account_closed"]
SHARES = [0.30, 0.18, 0.10, 0.09, 0.07, 0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.01, 0.006, 0.003, 0.001]
SCHEMA = pyarrow.schema([
    ("event_id", pyarrow.int64()),
    ("user_id", pyarrow.string()),
    ("account_id", pyarrow.string()),
    ("event", pyarrow.string()),
    ("happened_at", pyarrow.timestamp("us", "UTC")),
    ("seconds", pyarrow.float64()),
    ("amount", pyarrow.float64()),
])


def texts(prefix, numbers):
    digits = compute.cast(pyarrow.array(numbers), pyarrow.string())
    return compute.binary_join_element_wise(pyarrow.scalar(prefix), digits, pyarrow.scalar(""))


def rows(random, count, first_id, people, accounts, start, seconds):
    """`count` rows in order of time from `start`, within `seconds`."""
    person = (people * random.random(count) ** 2.5).astype(numpy.int64)
    person[random.random(count) < 0.01] = 0
    nobody = random.random(count) < 0.02
    moment = numpy.sort(random.integers(0, int(seconds * 1_000_000), count)) + int(start * 1_000_000)
    kind = random.choice(len(NAMES), count, p=SHARES).astype(numpy.int8)
    amount = numpy.where(kind == NAMES.index("order_paid"), numpy.round(random.exponential(40.0, count), 2), 0.0)
    users = compute.if_else(pyarrow.array(nobody), pyarrow.scalar(None, pyarrow.string()), texts("u", person))
    names = pyarrow.DictionaryArray.from_arrays(pyarrow.array(kind), pyarrow.array(NAMES)).cast(pyarrow.string())
    columns = [
        pyarrow.array(numpy.arange(first_id, first_id + count)),
        users,
        texts("a", person % accounts),
        names,
        pyarrow.array(moment).cast(pyarrow.timestamp("us", "UTC")),
        pyarrow.array(numpy.round(random.random(count) * 600, 3)),
        pyarrow.array(amount),
    ]
    return pyarrow.table(columns, schema=SCHEMA)


def write_events(folder, events, people, accounts, months, seed):
    written = 0
    for month in range(months):
        starts = [datetime.datetime(2025 + m // 12, m % 12 + 1, 1, tzinfo=datetime.timezone.utc) for m in (month, month + 1)]
        start, seconds = starts[0].timestamp(), (starts[1] - starts[0]).total_seconds()
        count = events * (month + 1) // months - events * month // months
        path = f"{folder}/events/month={starts[0]:%Y-%m}"
        os.makedirs(path, exist_ok=True)
        chunks = max(1, -(-count // CHUNK))
        random = numpy.random.default_rng([seed, month])
        with parquet.ParquetWriter(f"{path}/events.parquet", SCHEMA, compression="zstd") as writer:
            for chunk in range(chunks):
                size = count * (chunk + 1) // chunks - count * chunk // chunks
                since = start + seconds * chunk / chunks
                writer.write_table(rows(random, size, written, people, accounts, since, seconds / chunks), CHUNK)
                written += size


def write_people(path, people, accounts):
    names = [("profile_id", pyarrow.string()), ("email", pyarrow.string()), ("account_id", pyarrow.string())]
    schema = pyarrow.schema(names)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, people, CHUNK):
            numbers = numpy.arange(first, min(first + CHUNK, people))
            ids = texts("u", numbers)
            emails = compute.binary_join_element_wise(ids, pyarrow.scalar("@example.test"), pyarrow.scalar(""))
            writer.write_table(pyarrow.table([ids, emails, texts("a", numbers % accounts)], schema=schema))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--events", type=lambda text: int(text.replace("_", "")), default=20_000_000)
    parser.add_argument("--people", type=lambda text: int(text.replace("_", "")))
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    people = asked.people or asked.events // 25
    accounts = max(people // 20, 1)
    os.makedirs(asked.folder, exist_ok=True)
    write_events(asked.folder, asked.events, people, accounts, asked.months, asked.seed)
    write_people(f"{asked.folder}/people.parquet", people, accounts)
    write_people(f"{asked.folder}/admins.parquet", accounts, accounts)


main()
