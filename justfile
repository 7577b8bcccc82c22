# Habits. `.ci/run` is what must hold before a change lands.

# Format, lints, and the project's own jobs.
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo run --locked --quiet -- check --strict

# Every test.
test:
    cargo test --locked

# The crash harness in full: every crash point x fault x ledger x keys, random kills, signals, overlaps, full disks, clocks
# that jump, seeded mistakes. Prints totals; each of its three parts ends after so many minutes at the latest.
crash minutes="60":
    cargo build --locked --bin milepost --example fake_provider
    MILEPOST_TEST_MATRIX={{minutes}} cargo test --locked --test it delivery::crash -- --nocapture --test-threads 1

# Throughput against a local provider and of the ledgers, release build.
bench:
    benches/throughput.sh
    benches/ledger.sh

# A scaffolded project, run, its mails shown.
demo:
    cargo run --locked --quiet -- demo

# What the examples are expected to give, written anew; review the difference like code.
expected:
    MILEPOST_UPDATE_EXPECTED=1 cargo test --locked --test it examples

# The sample events of the root project and of the examples, made again: the same bytes.
data:
    rm -rf data examples/starter/data examples/writing-app/data examples/collaboration/data examples/fitness/data
    cargo run --locked --quiet --example sample_data

# Licences, advisories and sources of every dependency.
deny:
    cargo deny check
