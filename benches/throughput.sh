#!/usr/bin/env bash
# Deliveries per second against a fake provider on this machine, each figure beside what wrk reaches in the same run.
#
#   benches/throughput.sh            20,000 and 200,000 recipients, and a provider that answers after 50 ms
#   benches/throughput.sh 50000      another number of recipients in place of 20,000
#
# Needs wrk and /usr/bin/time. One request per message, bodies of about 20 KB, no rate limit, SQLite with full sync.
set -euo pipefail
cd "$(dirname "$0")/.."
recipients=${1:-20000}
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
fake=
trap '[ -z "$fake" ] || kill "$fake" 2>/dev/null || true; rm -rf "$work"' EXIT

cargo build --quiet --release --bin milepost --example fake_provider
milepost=$(realpath "$target/release/milepost")

# Starts the fake with the given flags and sets `fake` and `port`.
start_fake() {
  "$target/release/examples/fake_provider" --fast "$@" > "$work/port" &
  fake=$!
  until grep -q listening "$work/port"; do :; done
  port=$(awk '{print $3}' "$work/port")
}

stop_fake() {
  kill "$fake"
  wait "$fake" 2>/dev/null || true
  fake=
}

# A project in folder $1 that mails $2 people with $3 requests at once.
make_project() {
  mkdir -p "$1/data" "$1/sql" "$1/jobs/templates"
  awk -v n="$2" 'BEGIN { print "profile_id,email"; for (i = 1; i <= n; i++) printf "profile_%d,person_%d@example.test\n", i, i }' > "$1/data/people.csv"
  echo "re_a_key_for_the_benchmark" > "$1/key.txt"
  cat > "$1/milepost.yml" <<YAML
project: throughput
timezone: UTC
ledger: sqlite:.milepost/ledger.db
tables: {people: {csv: data/people.csv}}
providers:
  main: {resend: {api_key: "file:key.txt", base_url: "http://127.0.0.1:$port", rate: unlimited, in_flight: $3, batch: 1}}
defaults: {provider: main, sender: "Acme <hello@acme.test>", postal_address: "1 Rue X, Paris"}
unsubscribe: {url: "https://acme.test/leave/{{ profile.profile_id }}"}
YAML
  echo "select profile_id, timestamp '2026-10-31 10:00:00' as reached_at from people" > "$1/sql/reached.sql"
  cat > "$1/jobs/high_five.yml" <<YAML
job: high_five
start: all
audience: people
milestones:
  - name: high_five
    from: reached
    message: {subject: "Well done, {{ profile.profile_id }}", template: templates/high_five.html, text: templates/high_five.txt}
YAML
  {
    echo '<h1>Well done, {{ profile.profile_id }}</h1>'
    for line in $(seq 1 190); do
      echo "<p class=\"line\">Line $line of a mail that is about as long as a designed one with its inline styles.</p>"
    done
    echo '<p>{{ postal_address }}</p><p><a href="{{ unsubscribe_url }}">Leave</a></p>'
  } > "$1/jobs/templates/high_five.html"
  echo 'Well done, {{ profile.profile_id }}. {{ postal_address }} {{ unsubscribe_url }}' > "$1/jobs/templates/high_five.txt"
  (cd "$1" && "$milepost" ledger create --quiet > /dev/null)
}

# Mails everybody of project $1 ($2 people) and says how fast; sets `rate`.
measure() {
  (cd "$1" && /usr/bin/time -f "%e %U %S %M" -o ../time "$milepost" run --quiet --as-of 2026-11-01T06:00:00Z --replay --confirm "$2" > ../out)
  read -r wall user system peak < "$work/time"
  rate=$(awk -v n="$2" -v s="$wall" 'BEGIN { printf "%.0f", n / s }')
  awk -v n="$2" -v w="$wall" -v u="$user" -v s="$system" -v m="$peak" -v what="$3" 'BEGIN {
    printf "%-34s %7d messages  %6.2f s  %6.0f messages/s  %5.2f s CPU  %4.0f MB peak\n", what, n, w, n / w, u + s, m / 1024 }'
}

start_fake
cat > "$work/wrk.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"html":"' .. string.rep("x", 20480) .. '"}'
LUA
wrk_rate=$(wrk -t2 -c64 -d3s -s "$work/wrk.lua" "http://127.0.0.1:$port/emails" | awk '/Requests\/sec/ { printf "%.0f", $2 }')
printf '%-34s %55s requests/s\n' "wrk, 64 connections" "$wrk_rate"
make_project "$work/small" "$recipients" 64
measure "$work/small" "$recipients" "milepost, 64 in flight"
awk -v m="$rate" -v w="$wrk_rate" 'BEGIN { printf "%-34s %.2f\n", "ratio to wrk", m / w }'
small_peak=$peak
make_project "$work/large" $((recipients * 10)) 64
measure "$work/large" $((recipients * 10)) "milepost, ten times as many"
awk -v l="$peak" -v s="$small_peak" 'BEGIN { printf "%-34s %+.0f %%\n", "growth of peak memory", (l / s - 1) * 100 }'
stop_fake

start_fake --delay-ms 50
make_project "$work/slow" $((recipients / 4)) 32
measure "$work/slow" $((recipients / 4)) "answers after 50 ms, 32 in flight"
