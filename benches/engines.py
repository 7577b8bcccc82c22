#!/usr/bin/env python3
"""Runs the project of benches/engines/ in milepost, and what it asks for in DuckDB and Polars, side by side.

    benches/engines.py MILEPOST DATA [--runs 5] [--only ladders,month] [--polars] [--limit 256MB]

Every engine writes its result as Parquet. They take turns; each figure is the median of its runs, with the greatest peak
memory of the process. DuckDB's and Polars' time begins when they are imported, milepost's when its process starts.
Results are compared row by row; doubles may differ by one part in a billion.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AS_OF = "2027-01-01T00:00:00Z"
MONTH = ["--period", "2026-12", "--as-of", AS_OF]
# What milepost runs, the queries that do the same, and the columns that tell rows apart.
CASES = {
    "ladders": (["flags", "ladders", "--as-of", AS_OF], ["ladders_list", "ladders_window"], ["profile_id", "milestone", "level"]),
    "month": (["metrics", "month", *MONTH], ["month"], ["entity_id"]),
    "activity": (["metrics", "activity", *MONTH], ["activity"], ["entity_id", "by_value"]),
    "busy": (["flags", "busy", "--as-of", AS_OF], ["busy"], ["profile_id"]),
    "seconds": (["flags", "seconds", "--as-of", AS_OF], ["seconds"], ["profile_id", "milestone", "level"]),
    "computed_audience": (["flags", "computed_audience", "--as-of", AS_OF], ["computed_audience"], ["profile_id", "milestone", "level"]),
    "computed_month": (["metrics", "computed_month", *MONTH], ["computed_month"], ["entity_id"]),
    "ladders_once": (["flags", "ladders_once", "--as-of", AS_OF], ["ladders_list"], ["profile_id", "milestone", "level"]),
    "month_once": (["metrics", "month_once", *MONTH], ["month"], ["entity_id"]),
}
# Which rows DuckDB tells duplicates among, where a case counts each event once: those that the query reads.
ONCE = {
    "ladders_once": "happened_at <= timestamptz '2027-01-01 00:00:00+00' "
        "and event in ('design_created', 'document_edited', 'order_paid')",
    "month_once": "happened_at >= timestamptz '2026-11-01 00:00:00+00' and happened_at < timestamptz '2027-01-01 00:00:00+00'",
}

DUCKDB = """
import sys, time
import duckdb
query, data, output, limit, once = sys.argv[1:]
started = time.time()
session = duckdb.connect()
for setting in ["threads = 2", "timezone = 'UTC'", "preserve_insertion_order = false"] + ([f"memory_limit = '{limit}'"] if limit else []):
    session.sql(f"set {setting}")
session.sql(f"create view events as from read_parquet('{data}/events/*/*.parquet', hive_partitioning = true)")
for table in ("people", "admins"):
    session.sql(f"create view {table} as from '{data}/{table}.parquet'")
sql = open(query).read()
if once:
    rows = f"from events where {once} qualify row_number() over (partition by event_id order by happened_at) = 1"
    sql = sql.replace("from events", "from once").replace("with ", f"with once as materialized ({rows}), ", 1)
session.sql(f"copy ({sql}) to '{output}' (format parquet, compression zstd)")
print(time.time() - started)
"""

POLARS = """
import datetime, sys, time
import polars
from polars import col
case, data, output = sys.argv[1:]
started = time.time()
day = lambda *date: datetime.datetime(*date, tzinfo=datetime.timezone.utc)
events = polars.scan_parquet(f"{data}/events/*/*.parquet", hive_partitioning=False)
people, admins = (polars.scan_parquet(f"{data}/{table}.parquet") for table in ("people", "admins"))

def ladders():
    seen = events.filter(col("user_id").is_not_null() & (col("happened_at") <= day(2027, 1, 1)))
    def counted(name, event, levels):
        rows = seen.filter(col("event") == event).group_by("user_id").agg(
            polars.len().cast(polars.Float64).alias("value"), col("happened_at").bottom_k(max(levels)).sort().alias("times"))
        reached = [rows.filter(col("value") >= level).select("user_id", polars.lit(name).alias("milestone"),
            polars.lit(level).cast(polars.Int64).alias("level"), col("times").list.get(level - 1).alias("reached_at"), "value")
            for level in levels]
        return polars.concat(reached)
    paid = seen.filter(col("event") == "order_paid").sort("happened_at").group_by("user_id", maintain_order=False).agg(
        col("happened_at"), col("amount").cum_sum().round(6).alias("total"))
    spent = paid.explode("happened_at", "total").group_by("user_id").agg(
        col("happened_at").filter(col("total") >= 500).min().alias("reached_at"), col("total").max().alias("value"))
    spent = spent.filter(col("reached_at").is_not_null()).select("user_id", polars.lit("spent").alias("milestone"),
        polars.lit(500).cast(polars.Int64).alias("level"), "reached_at", "value")
    flags = polars.concat([counted("designs", "design_created", [1, 10]), counted("documents", "document_edited", [10, 100]), spent])
    return flags.join(people.select("profile_id"), left_on="user_id", right_on="profile_id").select(
        col("user_id").alias("profile_id"), "milestone", "level", polars.lit(True).alias("flag"), "reached_at", "value")

def month():
    rows = events.filter((col("happened_at") >= day(2026, 11, 1)) & (col("happened_at") < day(2027, 1, 1)))
    rows = rows.with_columns((col("happened_at") < day(2026, 12, 1)).alias("before"))
    count = lambda event: (col("event") == event).sum().cast(polars.Int64)
    metrics = dict(people=col("user_id").drop_nulls().n_unique().cast(polars.Int64),
        designers=col("user_id").filter(col("event") == "design_created").drop_nulls().n_unique().cast(polars.Int64),
        events=polars.len().cast(polars.Int64), minutes=col("seconds").sum() / 60.0, longest=col("seconds").max(),
        usual=col("seconds").mean(), paid=col("amount").sum(), pages=count("page_viewed"), edits=count("document_edited"),
        designs=count("design_created"), files=count("file_shared"), comments=count("comment_added"))
    measured = rows.group_by("account_id", "before").agg(**metrics)
    now = measured.filter(~col("before")).drop("before")
    before = measured.filter(col("before")).drop("before").rename({name: f"{name}_previous" for name in metrics})
    both = now.join(before, on="account_id", how="full", coalesce=True)
    both = both.join(admins.select("account_id").unique(), on="account_id", how="full", coalesce=True)
    filled = [col(f"{name}{end}").fill_null(0) for name in metrics if name not in ("longest", "usual") for end in ("", "_previous")]
    columns = [f"{name}{end}" for name in metrics for end in ("", "_previous")]
    return both.with_columns(filled).select(col("account_id").alias("entity_id"), polars.lit("2026-12").alias("period_key"), *columns)

globals()[case]().sink_parquet(output, compression="zstd")
print(time.time() - started)
"""


def run(command):
    """Seconds and peak megabytes of a process; the seconds it prints itself, where it does."""
    with tempfile.TemporaryFile() as said:
        started = time.time()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.time() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} failed: {words}")
    try:
        took = float(words.strip())
    except ValueError:
        pass
    return took, usage.ru_maxrss / 1024


def differences(left, right, keys):
    """How many rows are only in one of two files or differ in a value."""
    import duckdb
    session = duckdb.connect()
    session.sql("set timezone = 'UTC'")
    of = lambda path: {name: kind for name, kind, *_ in session.sql(f"describe from '{path}'").fetchall()}
    shared = [name for name in of(right) if name in of(left) and name not in keys]
    def differs(name):
        if of(left)[name] == "DOUBLE" or of(right)[name] == "DOUBLE":
            far = f"abs(l.{name} - r.{name}) > 1e-9 * greatest(1, abs(l.{name}))"
            return f"(l.{name} is null) <> (r.{name} is null) or coalesce({far}, false)"
        return f"l.{name} is distinct from r.{name}"
    same_key = " and ".join(f"l.{key} is not distinct from r.{key}" for key in keys)
    wrong = " or ".join([f"l.{keys[0]} is null or r.{keys[0]} is null"] + [differs(name) for name in shared])
    joined = f"(from '{left}') l full join (from '{right}') r on {same_key}"
    return session.sql(f"select count(*) filter (where {wrong}), count(*) from {joined}").fetchall()[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("milepost")
    parser.add_argument("data")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--polars", action="store_true")
    parser.add_argument("--limit", default="")
    asked = parser.parse_args()
    milepost, data = os.path.realpath(asked.milepost), os.path.realpath(asked.data)
    work = tempfile.mkdtemp()
    try:
        shutil.copytree(f"{HERE}/engines", f"{work}/project")
        os.symlink(data, f"{work}/project/data")
        for case in asked.only.split(","):
            measure(case, (milepost, data, work), asked)
    finally:
        shutil.rmtree(work)


def measure(case, places, asked):
    milepost, data, work = places
    arguments, queries, keys = CASES[case]
    output = lambda engine: f"{work}/{engine}.parquet"
    limit = ["--memory-limit", asked.limit] if asked.limit else []
    engines = {"milepost": [milepost, "--project", f"{work}/project", "--allow-path", data, "-q", *limit, *arguments, "--output", output("milepost")]}
    for query in queries:
        engines[f"duckdb {query}"] = [sys.executable, "-c", DUCKDB, f"{HERE}/engines/{query}.sql", data, output(f"duckdb {query}"), asked.limit, ONCE.get(case, "")]
    if asked.polars and case in ("ladders", "month"):
        engines["polars"] = [sys.executable, "-c", POLARS, case, data, output("polars")]
    figures = {engine: [] for engine in engines}
    for _ in range(asked.runs):
        for engine, command in engines.items():
            figures[engine].append(run(command))
    seconds = {engine: statistics.median(took for took, _ in runs) for engine, runs in figures.items()}
    fastest = min(took for engine, took in seconds.items() if engine.startswith("duckdb"))
    print(f"{case}" + (f" with a memory limit of {asked.limit}" if asked.limit else ""))
    for engine, runs in figures.items():
        said = f"  {engine:24} {seconds[engine]:7.2f} s  {max(peak for _, peak in runs):6.0f} MB"
        if engine == "milepost":
            said += f"  {seconds[engine] / fastest:.2f} of DuckDB's faster form"
        else:
            wrong, rows = differences(output("milepost"), output(engine), keys)
            said += f"  {rows} rows, " + ("the same" if wrong == 0 else f"{wrong} DIFFERENT")
        print(said, flush=True)


main()
