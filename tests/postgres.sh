#!/usr/bin/env bash
# A throw-away PostgreSQL: prints its URL when it answers, and is gone when standard input ends.
# `tests/postgres.sh durable` writes to disk as a real server does, for benchmarks; without it nothing outlives a crash of
# the machine, which tests do not need.
set -euo pipefail

find_binaries() {
    local candidate
    for candidate in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin; do
        [ -x "$candidate/initdb" ] && { echo "$candidate"; return; }
    done
    command -v initdb >/dev/null && { dirname "$(command -v initdb)"; return; }
    echo "no PostgreSQL server is installed: apt-get install postgresql" >&2
    return 1
}

binaries="$(find_binaries)"
folder="$(mktemp -d "${TMPDIR:-/tmp}/milepost-postgres.XXXXXX")"
server=
cleanup() {
    [ -n "$server" ] && kill -INT "$server" 2>/dev/null && wait "$server" 2>/dev/null
    cd / && rm -rf "$folder"
}
trap cleanup EXIT
# A server refuses to run as root.
as_account=()
if [ "$(id -u)" = 0 ]; then
    account=nobody
    getent passwd postgres >/dev/null && account=postgres
    chown "$account" "$folder"
    as_account=(setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups)
fi
cd "$folder"

speed=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
[ "${1:-}" = durable ] && speed=(-c max_wal_size=4GB -c shared_buffers=256MB)

"${as_account[@]}" "$binaries/initdb" --pgdata "$folder/data" --username milepost --auth trust --encoding UTF8 \
    --locale C --no-sync >"$folder/initdb.log" 2>&1 </dev/null || { cat "$folder/initdb.log" >&2; exit 1; }

# A port that somebody else takes meanwhile makes the server end: try another.
for _ in 1 2 3 4 5 6 7 8; do
    port=$((20000 + RANDOM % 20000))
    "${as_account[@]}" "$binaries/postgres" -D "$folder/data" -k "$folder" -p "$port" -c listen_addresses=127.0.0.1 \
        -c max_connections=200 "${speed[@]}" >"$folder/server.log" 2>&1 </dev/null &
    server=$!
    while kill -0 "$server" 2>/dev/null; do
        if "$binaries/pg_isready" -q -h "$folder" -p "$port" -d postgres; then
            echo "postgres://milepost@127.0.0.1:$port/postgres"
            exec >&-
            # The end of input, whoever held it.
            while read -r _; do :; done
            exit 0
        fi
        sleep 0.05
    done
done
cat "$folder/server.log" >&2
exit 1
