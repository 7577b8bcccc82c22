#!/usr/bin/env bash
# What a wide recap costs beside a single count over the same rows, and that both open the same partitions.
#
#   benches/recap.sh             2,400,000 events of 5,000 accounts in 24 monthly partitions
#   benches/recap.sh 250000      another number of events per month in place of 100,000
#
# The recap has 12 metrics with two comparisons, a trend and a rank; the limit is three times the single count.
# Needs python3 with pyarrow. MILEPOST names another binary than the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-100000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${MILEPOST:-}" ]; then
  cargo build --quiet --release --bin milepost
  MILEPOST=${CARGO_TARGET_DIR:-target}/release/milepost
fi
milepost=$(realpath "$MILEPOST")
mkdir -p "$work/data" "$work/jobs"
python3 - "$work/data" "$events" <<'PYTHON'
import datetime, os, random, sys
import pyarrow, pyarrow.parquet
folder, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
accounts = 5_000
for month in range(24):
    year, number = 2025 + month // 12, month % 12 + 1
    start = int(datetime.datetime(year, number, 1, tzinfo=datetime.timezone.utc).timestamp())
    people = [chance.randrange(400_000) for _ in range(count)]
    table = pyarrow.table({
        "user_id": [f"u{person}" for person in people],
        "account_id": [f"a{person % accounts}" for person in people],
        "event": chance.choices(["login", "poll", "edit", "view", "share", "export"], k=count),
        "happened_at": pyarrow.array([(start + chance.randrange(28 * 86_400)) * 1_000_000 for _ in people], pyarrow.timestamp("us", "UTC")),
        "duration": [chance.random() * 100 for _ in people],
    })
    path = f"{folder}/events/month={year}-{number:02d}"
    os.makedirs(path)
    pyarrow.parquet.write_table(table, path + "/events.parquet", compression="zstd")
with open(f"{folder}/admins.csv", "w") as file:
    file.write("profile_id,email,account_id\n")
    for account in range(accounts):
        file.write(f"p{account},p{account}@example.test,a{account}\n")
PYTHON
cat > "$work/milepost.yml" <<'YAML'
project: recap
timezone: Europe/Paris
tables:
  events: {parquet: data/events/, partitions: {month: {type: month, of: time}}, time: happened_at}
  admins: {csv: data/admins.csv}
providers: {local: {outbox: {dir: outbox}}}
defaults: {provider: local, sender: "Acme <hello@example.test>", postal_address: "1 Rue X, Paris"}
unsubscribe: {url: "https://example.test/leave"}
YAML
recap() {
  cat <<YAML
job: $1
start: all
audience: admins
message: {subject: Your month, template: $1.html}
recap:
  period: month
  entity: account_id
YAML
}
{
  recap one
  # The comparison makes the single count read the same partitions.
  printf '  compare: [previous, last_year]\n  metrics:\n    rows: {sql: "count(*)"}\n'
} > "$work/jobs/one.yml"
{
  recap wide
  echo '  compare: [previous, last_year]'
  echo '  metrics:'
  echo '    people: {sql: "count(distinct user_id)"}'
  echo "    pollers: {sql: \"count(distinct user_id) filter (where event = 'poll')\"}"
  echo '    rows: {sql: "count(*)", trend: day, rank: true}'
  echo '    minutes: {sql: "sum(duration) / 60.0"}'
  echo '    longest: {sql: "max(duration)"}'
  echo '    usual: {sql: "avg(duration)"}'
  for event in login poll edit view share export; do
    echo "    ${event}s: {sql: \"count(*) filter (where event = '$event')\"}"
  done
} > "$work/jobs/wide.yml"
# The mails show everything that is measured, so that all of it is made.
shown='{{ metric.label }} {{ metric.value }} {{ metric.previous }} {{ metric.change }} {{ metric.change_percent }} {{ metric.last_year }}'
leave='<p>{{ unsubscribe_url }} {{ postal_address }}</p>'
echo "{% for metric in matrix %}<p>$shown</p>{% endfor %}$leave" > "$work/jobs/one.html"
echo "{% for metric in matrix %}<p>$shown {{ metric.rank }} {{ metric.percentile }} {{ metric.trend | bars }}</p>{% endfor %}$leave" > "$work/jobs/wide.html"

# Seconds of the quickest of seven dry runs of a job, to the millisecond, and its peak memory.
seconds() {
  for _ in 1 2 3 4 5 6 7; do
    begun=$EPOCHREALTIME
    /usr/bin/time -f '%M' -o "$work/peak" "$milepost" --project "$work" -q run "$1" --as-of 2026-12-02T00:00:00Z --replay --dry-run --confirm 100000 > /dev/null
    awk -v begun="$begun" -v ended="$EPOCHREALTIME" -v peak="$(cat "$work/peak")" 'BEGIN { printf "%.3f %d\n", ended - begun, peak }'
  done | sort -n | head -1
}
read -r one one_kb <<< "$(seconds one)"
read -r wide wide_kb <<< "$(seconds wide)"
awk -v one="$one" -v wide="$wide" -v a="$one_kb" -v b="$wide_kb" 'BEGIN {
  printf "one count            %.3f s  %d MB\n12 metrics, all      %.3f s  %d MB\nratio                %.2f (limit 3)\n", one, a / 1024, wide, b / 1024, wide / one
  exit wide > 3 * one
}'
