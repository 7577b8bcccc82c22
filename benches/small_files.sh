#!/usr/bin/env bash
# 50,000 small Parquet files in object storage, in daily folders: how long until the query of one day is planned, which lists
# the folders and the files of those it needs, and until that of a year is, which lists everything; beside a bare listing
# of the same objects by boto3 in the same run, alternating. The store is moto's, which answers slowly and one request at a time.
#
#   benches/small_files.sh [FILES] [ROUNDS]     needs moto_server, boto3, pyarrow (pip install 'moto[s3,server]' boto3 pyarrow)
set -euo pipefail
files=${1:-50000}
rounds=${2:-3}
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
profile=${MILEPOST_BENCH_PROFILE:-release}
milepost=$target/$profile/milepost
[[ -x $milepost ]] || cargo build --locked --"$profile" --manifest-path "$root/Cargo.toml" --bin milepost
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
moto_server -H 127.0.0.1 -p "$port" >/dev/null 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; rm -r "$folder"' EXIT
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-3 AWS_DEFAULT_REGION=eu-west-3
export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2>/dev/null; do :; done

mkdir "$folder/jobs"
cat >"$folder/milepost.yml" <<'YAML'
project: small_files
tables:
  events:
    parquet: s3://lake/events/
    partitions: {day: {type: date, of: received}}
    time: happened_at
    received: landed_at
  people: {csv: people.csv}
providers:
  local: {outbox: {dir: outbox}}
defaults: {provider: local, sender: "Acme <a@acme.test>", postal_address: here}
unsubscribe: {url: "https://acme.test/leave"}
YAML
cat >"$folder/jobs/day.yml" <<'YAML'
job: day
start: all
audience: people
message: {subject: s, template: t.html}
recap:
  period: day
  metrics: {words: {sql: sum(words)}}
YAML
sed -e 's/job: day/job: year/' -e 's/period: day/period: year/' "$folder/jobs/day.yml" >"$folder/jobs/year.yml"
echo '<p>{{ unsubscribe_url }} {{ postal_address }}</p>' >"$folder/jobs/t.html"
printf 'profile_id,email\nu1,ann@x.test\n' >"$folder/people.csv"

python3 - "$files" <<'PYTHON'
import datetime as dt, io, sys
from concurrent.futures import ThreadPoolExecutor
import boto3, pyarrow as pa, pyarrow.parquet as pq
s3 = boto3.client("s3")
s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
files = int(sys.argv[1])
first = dt.date(2025, 1, 1)
def put(number):
    day = first + dt.timedelta(days=number * 730 // files)
    at = dt.datetime.combine(day, dt.time(12))
    table = pa.table({"user_id": ["u1"], "words": [number], "happened_at": pa.array([at], pa.timestamp("us")),
                      "landed_at": pa.array([at], pa.timestamp("us"))})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    s3.put_object(Bucket="lake", Key=f"events/day={day}/part-{number:06}.parquet", Body=sink.getvalue())
with ThreadPoolExecutor(8) as pool:
    list(pool.map(put, range(files)))
PYTHON

bare() {
  python3 - <<'PYTHON'
import time, boto3
s3 = boto3.client("s3")
began = time.monotonic()
count = sum(len(page.get("Contents", [])) for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix="events/"))
print(f"bare listing by boto3: {time.monotonic() - began:.2f} s, {count} objects")
PYTHON
}
planned() {
  local began ended
  began=$(date +%s.%N)
  "$milepost" --project "$folder" compile "$1" --explain --as-of 2026-12-01T00:00:00Z --period "$2" | grep -- '-- reads events'
  ended=$(date +%s.%N)
  printf 'milepost, %s, from start to planned: %.2f s\n' "$1" "$(echo "$ended - $began" | bc)"
}
"$milepost" --version
for _ in $(seq "$rounds"); do
  bare
  planned day 2026-06-15
  planned year 2025
done
