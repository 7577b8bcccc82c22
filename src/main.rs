//! The `milepost` command: hands its arguments to the library and leaves with the exit code it gets.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(milepost::cli::start(std::env::args_os()))
}
