//! Flags of the fake provider.

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::faults::{Fault, Faults};

/// How the fake behaves.
pub(crate) struct Options {
    /// `--port N`; 0 (default): any free one.
    pub(crate) port: u16,
    /// `--log FILE`: one JSON line per accepted message.
    pub(crate) log: Option<PathBuf>,
    /// `--honour-keys true|false`; true by default.
    pub(crate) honour_keys: bool,
    /// `--delay-ms N`: the time every answer takes.
    pub(crate) delay: Duration,
    /// `--fault NAME=PROBABILITY`, as often as wanted, and `--seed N`.
    pub(crate) faults: Faults,
    /// `--fast`: counts requests only; no log, no fsync, bodies are not read for meaning.
    pub(crate) fast: bool,
    /// `--refused`: nobody listens.
    pub(crate) refused: bool,
}

impl Options {
    /// Reads the flags.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (mut faults, mut seed) = (Vec::new(), 1);
        let mut options = Self {
            port: 0,
            log: None,
            honour_keys: true,
            delay: Duration::ZERO,
            faults: Faults::new(Vec::new(), 1),
            fast: false,
            refused: false,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--fast" => options.fast = true,
                "--refused" => options.refused = true,
                "--port" => options.port = value()?.parse()?,
                "--log" => options.log = Some(value()?.into()),
                "--honour-keys" => options.honour_keys = value()?.parse()?,
                "--delay-ms" => options.delay = Duration::from_millis(value()?.parse()?),
                "--seed" => seed = value()?.parse()?,
                "--fault" => {
                    let text = value()?;
                    let (name, probability) = text.split_once('=').ok_or("--fault takes NAME=PROBABILITY")?;
                    faults.push((Fault::named(name)?, probability.parse()?));
                }
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        options.faults = Faults::new(faults, seed);
        Ok(options)
    }
}
