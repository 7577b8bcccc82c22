#!/usr/bin/env bash
# Runs the DAG in a real Apache Airflow on a copy of the starter project: the first time it mails, cleared and run again it
# makes no request and shows skipped tasks, also with an interval of no width; a mistake in the project fails without a retry.
#
#   AIRFLOW=PATH/bin/airflow MILEPOST_BINARY=PATH/milepost examples/airflow/test.sh
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
airflow="${AIRFLOW:-airflow}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

export AIRFLOW_HOME="$work/airflow" AIRFLOW__CORE__DAGS_FOLDER="$here/dags" AIRFLOW__CORE__LOAD_EXAMPLES=False
export MILEPOST_PROJECT="$work/project"
"$MILEPOST_BINARY" init "$MILEPOST_PROJECT" > /dev/null
# The sample's events are of the past, and a wall clock must not expire them.
sed -i 's/^defaults:$/defaults:\n  mail_within: 36500 days/' "$MILEPOST_PROJECT/milepost.yml"
"$airflow" db migrate > "$work/migrate.log" 2>&1 || { cat "$work/migrate.log"; exit 1; }

mails() { find "$MILEPOST_PROJECT" -name '*.eml' | wc -l; }
states() { grep -oE "(success|skipped|failed|up_for_retry)" "$1" | sort | uniq -c | tr '\n' ' '; }
run() { "$airflow" dags test milepost_jobs "$2" > "$work/$1.log" 2>&1; }
fail() { echo "$1"; tail -n 60 "$work/$2.log"; exit 1; }

run first 2026-11-01T07:00:00+00:00 || fail "the first run failed" first
first="$(mails)"
[ "$first" -gt 0 ] || fail "the first run mailed nobody" first
run again 2026-11-01T07:00:00+00:00 || fail "the run after clearing failed" again
[ "$(mails)" -eq "$first" ] || fail "clear and rerun mailed somebody twice" again
grep -q "nobody was to be mailed" "$work/again.log" || fail "no task was skipped" again
echo "nonsense: true" >> "$MILEPOST_PROJECT/milepost.yml"
if run broken 2026-11-02T07:00:00+00:00; then fail "a broken project passed" broken; fi
grep -q "mend it first" "$work/broken.log" || fail "a broken project did not fail for good" broken
if grep -q "up_for_retry" "$work/broken.log"; then fail "a broken project was retried" broken; fi
echo "airflow: $first mails, 0 after clear and rerun, a broken project fails without a retry"
