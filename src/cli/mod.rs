//! Arguments, one file per command, output, and the way from a failure to an exit code.

mod arguments;
mod command;
mod diagnostics;
mod explain_text;
mod failure;
mod interrupt;
mod logging;
mod output;

mod progress;
mod report_text;

use std::ffi::OsString;

use clap::Parser;

use arguments::{Arguments, Command, Common};
use failure::Failure;
use output::Output;

use crate::run::{Exit, WorkspaceOptions};

/// What every command gets besides its own arguments.
struct Context {
    output: Output,
    workspace: WorkspaceOptions,
}

/// Runs the command line and returns the process's exit code.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(shown) => {
            let _ = shown.print();
            return if shown.use_stderr() { Exit::Invalid.code() } else { Exit::Done.code() };
        }
    };
    let output = Output { format: arguments.common.format, quiet: arguments.common.quiet };
    #[cfg(debug_assertions)]
    if let Some((seconds, readings)) = crate::settings::clock_jump() {
        crate::clock::rehearse_jump(seconds, readings);
    }
    logging::start(arguments.common.log_format, arguments.common.verbose, arguments.common.quiet);
    let ended = context(&arguments.common, output).and_then(|context| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            Failure::new(Exit::Failed, format!("the asynchronous runtime cannot start: {error}"), None)
        })?;
        let ended = runtime.block_on(dispatch(arguments.command, &context));
        // A second signal, or a drain that timed out, must not wait for stalled tasks.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(exit) => exit.code(),
        Err(failure) => {
            failure.show(output);
            failure.exit.code()
        }
    }
}

fn context(common: &Common, output: Output) -> Result<Context, Failure> {
    let start = crate::settings::current_folder()
        .map_err(|error| Failure::new(Exit::Failed, format!("the current folder cannot be read: {error}"), None))?;
    let workspace = WorkspaceOptions {
        project: common.project.clone().map(|folder| start.join(folder)),
        start,
        environment: common.env.clone().filter(|name| !name.is_empty()),
        threads: common.threads,
        memory_limit_bytes: common.memory_limit,
    };
    Ok(Context { output, workspace })
}

async fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Init(arguments) => arguments.execute(context),
        Command::Demo(arguments) => arguments.execute(context).await,
        Command::Check(arguments) => arguments.execute(context).await,
        Command::Test(arguments) => arguments.execute(context).await,
        Command::Compile(arguments) => arguments.execute(context).await,
        Command::Run(arguments) => arguments.execute(context).await,
        Command::Plan(arguments) => arguments.execute(context).await,
        Command::Diff(arguments) => arguments.execute(context).await,
        Command::Preview(arguments) => arguments.execute(context).await,
        Command::Flags(arguments) => arguments.execute(context).await,
        Command::Metrics(arguments) => arguments.execute(context).await,
        Command::Functions(arguments) => Ok(arguments.execute(context)),
        Command::Schema(arguments) => Ok(arguments.execute(context)),
        Command::Deliveries(arguments) => arguments.execute(context).await,
        Command::Ledger(arguments) => arguments.execute(context).await,
        Command::Export(arguments) => arguments.execute(context).await,
        Command::Suppress(arguments) => arguments.execute(context).await,
        Command::Unsuppress(arguments) => arguments.execute(context).await,
        Command::Erase(arguments) => arguments.execute(context).await,
        Command::Halt(arguments) => arguments.execute(context).await,
        Command::Resume(arguments) => arguments.execute(context).await,
        Command::Explain(arguments) => arguments.execute(context).await,
        Command::Status(arguments) => arguments.execute(context).await,
    }
}
