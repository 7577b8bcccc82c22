#!/usr/bin/env bash
# What a ladder of 50 levels costs beside one level on the same rows, in one run; at most 1.3 times.
#
#   benches/ladder.sh                2,000,000 events of 200,000 people
#   benches/ladder.sh 500000         another number of events
#
# Needs duckdb for Python, which writes the Parquet file. MILEPOST names another binary than the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-2000000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${MILEPOST:-}" ]; then
  cargo build --quiet --release --bin milepost
  MILEPOST=${CARGO_TARGET_DIR:-target}/release/milepost
fi
milepost=$(realpath "$MILEPOST")

mkdir -p "$work/data" "$work/jobs"
python3 - "$events" "$work/data" <<'PYTHON'
import sys
import duckdb
events, folder = int(sys.argv[1]), sys.argv[2]
people = events // 10
duckdb.sql(f"""copy (
    select 'u' || (hash(i) % {people}) as user_id, 'edited' as event, 'm' || i as message_id,
        timestamptz '2026-01-01 00:00:00+00' + to_seconds((hash(i, 1) % 15000000)::bigint) as happened_at,
        (hash(i, 2) % 100)::integer as words
    from range({events}) as rows (i)) to '{folder}/events.parquet' (compression zstd)""")
duckdb.sql(f"copy (select 'u' || i as profile_id, 'a@x.test' as email from range({people}) as rows (i)) to '{folder}/people.parquet'")
PYTHON

cat > "$work/milepost.yml" <<'YAML'
project: ladder
tables:
  events: {parquet: data/events.parquet, time: happened_at}
  people: {parquet: data/people.parquet}
providers: {local: {outbox: {dir: outbox}}}
defaults: {provider: local, sender: "Acme <a@acme.test>", postal_address: here, start: all, audience: people}
unsubscribe: {url: "https://acme.test/leave"}
YAML
echo '<p>{{ unsubscribe_url }} {{ postal_address }}</p>' > "$work/jobs/mail.html"

# Few people reach these levels, so that both jobs write about as many flags.
job() { # name, measure, levels
  printf 'job: %s\nmessage: {subject: s, template: mail.html}\nmilestones:\n  - {name: m, event: edited, measure: %s, reaches: [%s]}\n' \
    "$1" "$2" "$3" > "$work/jobs/$1.yml"
}
job count_one 'count(*)' 20
job count_fifty 'count(*)' "$(seq -s, 20 69)"
job sum_one 'sum(words)' 1000
job sum_fifty 'sum(words)' "$(seq -s, 1000 20 1980)"

seconds() { # job: the best of seven
  local best=999999 took started
  for _ in 1 2 3 4 5 6 7; do
    started=$(date +%s%N)
    "$milepost" --project "$work" flags "$1" --as-of 2026-12-01T00:00:00Z --output "$work/flags.parquet" > "$work/said"
    took=$((($(date +%s%N) - started) / 1000000))
    [ "$took" -ge "$best" ] || best=$took
  done
  echo "$best"
}

for measure in count sum; do
  one=$(seconds "${measure}_one")
  fifty=$(seconds "${measure}_fifty")
  awk -v m="$measure" -v one="$one" -v fifty="$fifty" \
    'BEGIN { printf "%s: one level %d ms, 50 levels %d ms, ratio %.2f (at most 1.30)\n", m, one, fifty, fifty / one; exit fifty > 1.3 * one }'
done
