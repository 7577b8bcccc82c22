#!/usr/bin/env bash
# How near a run without a configured rate comes to a limit that only its provider knows: the fake accepts 50 requests in
# any second and answers the others with 429 and "retry-after: 1".
#
#   benches/pacing.sh            about 30 seconds' worth of messages
#   benches/pacing.sh 3000       so many messages
set -euo pipefail
cd "$(dirname "$0")/.."
recipients=${1:-1500}
limit=50
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
fake=
trap '[ -z "$fake" ] || kill "$fake" 2>/dev/null || true; rm -rf "$work"' EXIT

cargo build --quiet --release --bin milepost --example fake_provider
milepost=$(realpath "$target/release/milepost")
"$target/release/examples/fake_provider" --limit "$limit" > "$work/port" &
fake=$!
until grep -q listening "$work/port"; do :; done
port=$(awk '{print $3}' "$work/port")

mkdir -p "$work/data" "$work/sql" "$work/jobs"
awk -v n="$recipients" 'BEGIN { print "profile_id,email"; for (i = 1; i <= n; i++) printf "profile_%d,person_%d@example.test\n", i, i }' > "$work/data/people.csv"
echo "re_a_key_for_the_benchmark" > "$work/key.txt"
cat > "$work/milepost.yml" <<YAML
project: pacing
timezone: UTC
ledger: sqlite:.milepost/ledger.db
tables: {people: {csv: data/people.csv}}
providers:
  main: {resend: {api_key: "file:key.txt", base_url: "http://127.0.0.1:$port", rate: unlimited, in_flight: 8, batch: 1}}
defaults: {provider: main, sender: "Acme <hello@acme.test>", postal_address: "1 Rue X, Paris"}
unsubscribe: {url: "https://acme.test/leave/{{ profile.profile_id }}"}
YAML
echo "select profile_id, timestamp '2026-10-31 10:00:00' as reached_at from people" > "$work/sql/reached.sql"
cat > "$work/jobs/high_five.yml" <<'YAML'
job: high_five
start: all
audience: people
milestones:
  - name: high_five
    from: reached
    message: {subject: "Well done, {{ profile.profile_id }}", template: high_five.html}
YAML
echo '<p>Well done. {{ postal_address }} <a href="{{ unsubscribe_url }}">Leave</a></p>' > "$work/jobs/high_five.html"
cd "$work"
"$milepost" ledger create --quiet > /dev/null
"$milepost" run --quiet --as-of 2026-11-01T06:00:00Z --replay --confirm "$recipients" > out
python3 - "$limit" <<'PYTHON'
import json, sys
job = json.load(open("target/milepost/run_results.json"))["results"][0]
accepted, requests, seconds = job["outcomes"]["accepted"], job["requests"], job["timing_seconds"]["deliver"]
print(f"{accepted} accepted in {seconds:.1f} s: {accepted / seconds:.1f}/s, {accepted / seconds / float(sys.argv[1]):.2f} of the limit; "
      f"{requests - accepted} of {requests} requests answered 429 ({100 * (requests - accepted) / requests:.1f} %)")
PYTHON
