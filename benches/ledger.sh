#!/usr/bin/env bash
# What the ledgers cost: claims a second, and a run over many candidates of which most are known.
#
#   benches/ledger.sh                     1,000,000 candidates of which 900,000 are known, on SQLite and PostgreSQL
#   benches/ledger.sh 100000 90000        other numbers
#
# Needs PostgreSQL's server (tests/postgres.sh starts one that writes to disk) and /usr/bin/time. Mails go to an outbox.
set -euo pipefail
cd "$(dirname "$0")/.."
candidates=${1:-1000000}
known=${2:-900000}
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --quiet --release --bin milepost
bench=$(cargo bench --no-run --bench ledger --message-format json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*ledger-[^"]*\)".*/\1/p' | tail -n 1)
milepost=$(realpath "$target/release/milepost")
coproc postgres { tests/postgres.sh durable; }
read -r url <&"${postgres[0]}"

echo "claims in waves of 2,000, by messages of a request:"
"$bench" rates "sqlite:$work/rates.db"
"$bench" rates "$url?schema=rates"

# A project in folder $1 with ledger $2.
make_project() {
  mkdir -p "$1/data" "$1/sql" "$1/jobs/templates"
  awk -v n="$candidates" 'BEGIN { print "profile_id,email"; for (i = 1; i <= n; i++) printf "profile_%d,person_%d@example.test\n", i, i }' > "$1/data/people.csv"
  cat > "$1/milepost.yml" <<YAML
project: many
timezone: UTC
ledger: "$2"
tables: {people: {csv: data/people.csv}}
providers: {local: {outbox: {dir: outbox}}}
defaults: {provider: local, sender: "Acme <hello@acme.test>", postal_address: "1 Rue X, Paris"}
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
    message: {subject: "Well done, {{ profile.profile_id }}", template: templates/high_five.html}
YAML
  echo '<p>Well done, {{ profile.profile_id }}</p><p>{{ postal_address }}</p><a href="{{ unsubscribe_url }}">Leave</a>' \
    > "$1/jobs/templates/high_five.html"
}

# Runs project $1 and prints time, memory and the results' counts.
measure() {
  (cd "$1" && /usr/bin/time -f "%e %U %S %M" -o "$work/time" "$milepost" run --quiet --as-of 2026-11-01T06:00:00Z \
    --replay --confirm "$candidates" --format json > "$work/out")
  read -r wall user system peak < "$work/time"
  mails=$(find "$1/outbox" -name '*.eml' | wc -l)
  awk -v what="$2" -v c="$candidates" -v n="$mails" -v w="$wall" -v u="$user" -v s="$system" -v m="$peak" 'BEGIN {
    printf "%-28s %8d candidates %7d mails  %6.1f s  %6.1f s CPU  %4.0f MB peak\n", what, c, n, w, u + s, m / 1024 }'
}

for kind in sqlite postgres; do
  case $kind in
    sqlite) location="sqlite:$work/$kind/ledger.db" ;;
    postgres) location="$url?schema=many" ;;
  esac
  make_project "$work/$kind" "$location"
  "$bench" seed "$location" many high_five "$known"
  measure "$work/$kind" "$kind, $known known"
  rm -rf "$work/$kind/outbox"
  mkdir "$work/$kind/outbox"
  measure "$work/$kind" "$kind, all known"
  rm -rf "${work:?}/$kind"
done
