#!/usr/bin/env bash
# How long a run takes to end after SIGTERM at random moments, over many events and over a view that never ends; at most 2 s.
#
#   benches/stop.sh                  20,000,000 events of 1,000,000 people, 50 moments
#   benches/stop.sh 2000000 10       another number of events, and of moments
#
# Needs numpy and pyarrow for PYTHON (python3), and timeout of coreutils. MILEPOST names another binary than the release build; DATA a folder of
# benches/events.py that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-20000000} moments=${2:-50}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${MILEPOST:-}" ]; then
  cargo build --quiet --release --bin milepost
  MILEPOST=${CARGO_TARGET_DIR:-target}/release/milepost
fi
milepost=$(realpath "$MILEPOST")
[ -n "${DATA:-}" ] || { DATA=$work/data; "${PYTHON:-python3}" benches/events.py "$DATA" --events "$events" --people $((events / 20)); }

mkdir -p "$work/jobs" "$work/sql" "$work/outbox"
cat > "$work/milepost.yml" <<YAML
project: stop
tables:
  events: {parquet: $(realpath "$DATA")/events/, time: happened_at}
  people: {parquet: $(realpath "$DATA")/people.parquet}
providers: {local: {outbox: {dir: outbox}}}
defaults: {provider: local, sender: "Acme <a@acme.test>", postal_address: here, start: all, limits: {first_run: 100000000}}
unsubscribe: {url: "https://acme.test/leave"}
YAML
cat > "$work/sql/active.sql" <<'SQL'
select distinct user_id as profile_id, concat(user_id, '@x.test') as email from events where user_id is not null
SQL
cat > "$work/sql/endless.sql" <<'SQL'
select concat('u', cast(a.x as varchar)) as profile_id, 'a@x.test' as email
from generate_series(1, 1000000) as a(x) cross join generate_series(1, 1000000) as b(y)
where a.x * b.y < 0
SQL
echo '<p>{{ unsubscribe_url }} {{ postal_address }}</p>' > "$work/jobs/mail.html"
for audience in active endless; do
  printf 'job: %s\naudience: %s\nmessage: {subject: s, template: mail.html}\nmilestones:\n  - {name: m, event: design_created, reaches: [1, 50, 2000]}\n' \
    "$audience" "$audience" > "$work/jobs/$audience.yml"
done

slowest=0 early=0
for ((moment = 0; moment < moments; moment++)); do
  [ $((moment % 2)) = 0 ] && jobs="active endless" || jobs="endless active"
  after=$((RANDOM % ${LONGEST_MS:-8000}))
  rm -f "$work/target/milepost/run_results.json"
  started=$(date +%s%N)
  code=0
  timeout --preserve-status -s TERM "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))" \
    "$milepost" --project "$work" run $jobs --as-of 2030-01-01T00:00:00Z --format json > "$work/said" 2> "$work/errors" || code=$?
  took=$((($(date +%s%N) - started) / 1000000 - after))
  [ "$code" = 143 ] || { echo "exit $code after $after ms"; cat "$work/errors"; exit 1; }
  if [ -s "$work/said" ]; then
    rows=$(grep -c '"status"' "$work/target/milepost/run_results.json")
    [ "$rows" = 2 ] && grep -q '"exit_code": 143' "$work/target/milepost/run_results.json" || { echo "incomplete results after $after ms"; exit 1; }
  else
    early=$((early + 1))
  fi
  ! grep -q 'cut off' "$work/errors" || echo "cut off after $after ms"
  [ "$took" -le "$slowest" ] || slowest=$took
done
mails=$(find "$work/outbox" -name '*.eml' 2> /dev/null | wc -l)
left=$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'datafusion-*' -newer "$work/milepost.yml" 2> /dev/null | wc -l)
echo "$moments moments ($early before the program listened): the slowest end took $slowest ms; $mails mails, $left folders left"
[ "$slowest" -le "${LIMIT_MS:-2000}" ] || { echo "more than 2 s"; exit 1; }
