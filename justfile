# Habits. `.ci/run` is what must hold before a change lands.

# Format, lints, and the project's own jobs.
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo run --locked --quiet -- check --strict

# Every test.
test:
    cargo test --locked

# Throughput against a local provider, release build.
bench:
    benches/throughput.sh

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
