#!/usr/bin/env bash
# Milestones and recaps in milepost, DuckDB and Polars side by side: times, ratios, peak memory and versions.
#
#   benches/engines.sh                      20,000,000 events of 800,000 people in 24 months
#   benches/engines.sh 100000000            another number of events
#   benches/engines.sh 20000000 --limit 256MB --only ladders,activity,busy
#
# Needs python3 with numpy, pyarrow, duckdb and polars. The data (16 bytes per event) is made once and kept in
# MILEPOST_BENCH_DATA, by default the system's folder for temporary files. MILEPOST names another binary than the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${1:-20000000}
shift || true
data=${MILEPOST_BENCH_DATA:-${TMPDIR:-/tmp}/milepost-bench}/$events
if [ -z "${MILEPOST:-}" ]; then
  cargo build --quiet --release --bin milepost
  MILEPOST=${CARGO_TARGET_DIR:-target}/release/milepost
fi
if [ ! -f "$data/people.parquet" ]; then
  python3 benches/events.py "$data" --events "$events"
fi
echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo); $("$MILEPOST" --version)"
python3 -c 'import duckdb, polars; print(f"DuckDB {duckdb.__version__}, Polars {polars.__version__}")'
echo "$events events, $(du -sm "$data" | cut -f1) MB"
python3 benches/engines.py "$MILEPOST" "$data" --polars "$@"
