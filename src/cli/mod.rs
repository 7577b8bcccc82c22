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
mod run_log;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;
use jiff::Timestamp;

use arguments::{Arguments, Command, Common, Interval, Moment};
use failure::Failure;
use interrupt::Signals;
use output::Output;

use crate::run::{Exit, StopCause, WorkspaceOptions};
use crate::settings::{self, Allowed};
use crate::storage;

/// What every command gets besides its own arguments.
struct Context<'a> {
    output: Output,
    workspace: WorkspaceOptions,
    /// What signals and deadlines ask for.
    signals: &'a Signals,
}

impl Context<'_> {
    /// The instant that is meant, in the zone of the project where a day is.
    fn instant(&self, moment: Option<Moment>) -> Option<Timestamp> {
        moment.map(|moment| moment.in_zone(|| self.workspace.timezone()))
    }

    /// The interval that is meant.
    fn interval(&self, interval: Option<Interval>) -> Result<Option<(Timestamp, Timestamp)>, Failure> {
        let Some(interval) = interval else { return Ok(None) };
        let (start, end) = (self.instant(Some(interval.start)), self.instant(Some(interval.end)));
        match start.zip(end) {
            Some((start, end)) if end < start => {
                let message = format!("the interval {start}..{end} ends before it starts");
                Err(Failure::new(Exit::Invalid, message, None))
            }
            interval => Ok(interval),
        }
    }
}

/// Runs the command line and returns the process's exit code.
pub fn start(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let output = Output { log_format: output::log_format_of(&arguments), ..Output::default() };
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return leave(shown(Err(cannot_start(&error)), output), output),
    };
    let arguments = match Arguments::try_parse_from(&arguments) {
        Ok(arguments) => arguments,
        Err(error) => return leave(unparsed(&error, output), output),
    };
    let output = Output { format: arguments.common.format, quiet: arguments.common.quiet, ..output };
    std::panic::set_hook(Box::new(move |panic| {
        let at = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no words");
        output.complain(&format!("error: broken off: {words}{at}"));
    }));
    let ended = catch_unwind(AssertUnwindSafe(|| carry_out(arguments, output, &signals)));
    let ended = ended.unwrap_or_else(|_| Err(broken_off()));
    let stopped = signals.stop.cause().filter(|cause| cause.is_signal()).map(StopCause::exit);
    leave(Exit::of_all(stopped.into_iter().chain([shown(ended, output)])), output)
}

/// The last steps of every command: what could not be written counts, and nothing temporary stays.
fn leave(exit: Exit, output: Output) -> u8 {
    let exit = match output::unwritten() {
        Some(reason) => {
            let failure = Failure::new(Exit::Failed, format!("standard output cannot be written: {reason}"), None);
            Exit::of_all([exit, shown(Err(failure), Output { format: output::Format::Text, ..output })])
        }
        None => exit,
    };
    storage::remove_temporary();
    exit.code()
}

/// The exit of a command; a failure is shown.
fn shown(ended: Result<Exit, Failure>, output: Output) -> Exit {
    ended.unwrap_or_else(|failure| {
        failure.show(output);
        failure.exit
    })
}

/// Help and versions are results; everything else that is no command is bad usage.
fn unparsed(error: &clap::Error, output: Output) -> Exit {
    if !error.use_stderr() {
        output::note(error.print());
        return Exit::Done;
    }
    if output.log_format == output::Format::Json {
        let words = error.to_string();
        let message = words.strip_prefix("error: ").unwrap_or(&words).trim();
        return shown(Err(Failure::new(Exit::Invalid, message, None)), output);
    }
    let _ = error.print();
    Exit::Invalid
}

fn cannot_start(error: &std::io::Error) -> Failure {
    let hint = "the system gives no more threads, memory or files: run again once there are more".to_owned();
    Failure::new(Exit::Failed, format!("the command cannot start: {error}"), hint)
}

/// A panic has said where it was and why.
fn broken_off() -> Failure {
    let hint =
        "where the system has no more threads or memory, run again once there are more; else this is a defect of \
                milepost: please report it with the line above"
            .to_owned();
    Failure::new(Exit::Failed, "the command broke off", hint)
}

fn carry_out(arguments: Arguments, output: Output, signals: &Signals) -> Result<Exit, Failure> {
    #[cfg(debug_assertions)]
    if let Some((seconds, readings)) = crate::settings::clock_jump() {
        crate::clock::rehearse_jump(seconds, readings);
    }
    logging::start(arguments.common.log_format, arguments.common.verbose, arguments.common.quiet);
    let context = context(&arguments.common, output, signals)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| cannot_start(&error))?;
    // A run drains what is under way and reports what it did.
    let drains = matches!(arguments.command, Command::Run(_) | Command::Demo(_));
    let ended = runtime.block_on(async {
        tokio::select! {
            biased;
            cause = signals.stop.asked(), if !drains => Err(Failure::new(cause.exit(), cause.to_string(), None)),
            ended = dispatch(arguments.command, &context) => ended,
        }
    });
    // Whatever thread is still held must not keep the process.
    runtime.shutdown_background();
    ended
}

fn context<'a>(common: &Common, output: Output, signals: &'a Signals) -> Result<Context<'a>, Failure> {
    let start = crate::settings::current_folder()
        .map_err(|error| Failure::new(Exit::Failed, format!("the current folder cannot be read: {error}"), None))?;
    settings::allow(Allowed {
        paths: common
            .allow_path
            .iter()
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| start.join(path))
            .collect(),
        variables: common.allow_env.clone(),
        hosts: common.allow_host.clone(),
    });
    let workspace = WorkspaceOptions {
        project: common.project.clone().map(|folder| start.join(folder)),
        start,
        environment: common.env.clone().filter(|name| !name.is_empty()),
        threads: common.threads,
        memory_limit_bytes: common.memory_limit,
        query_timeout: common.query_timeout,
    };
    Ok(Context { output, workspace, signals })
}

async fn dispatch(command: Command, context: &Context<'_>) -> Result<Exit, Failure> {
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
