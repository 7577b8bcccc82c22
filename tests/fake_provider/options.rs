//! Flags of the fake provider.

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::faults::{Fault, Faults};

/// How the fake behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Options {
    /// `--port N`; 0 (default): any free one.
    pub(crate) port: u16,
    /// `--log FILE`: one JSON line per accepted message.
    pub(crate) log: Option<PathBuf>,
    /// `--honour-keys true|false`; true by default.
    pub(crate) honour_keys: bool,
    /// `--key-seconds N`: for how long a key is honoured; a day by default.
    pub(crate) key_lifetime: Duration,
    /// `--strict`: batches are taken or refused whole, whatever a request asks for.
    pub(crate) strict: bool,
    /// `--delay-ms N`: the time every answer takes.
    pub(crate) delay: Duration,
    /// `--struck FILE`: one JSON line per request that met a fault.
    pub(crate) struck: Option<PathBuf>,
    /// `--fault NAME=PROBABILITY`, as often as wanted, `--seed N`, and `--faulty N`: only the first N requests.
    /// `--fault-at NAME=N` strikes the Nth request.
    pub(crate) faults: Faults,
    /// `--fast`: counts requests only; no log, no fsync, bodies are not read for meaning.
    pub(crate) fast: bool,
    /// `--limit N`: requests accepted in any second; the others are to come back after one.
    pub(crate) limit: Option<usize>,
    /// `--refused`: nobody listens, until it calms down.
    pub(crate) refused: bool,
    /// `--control`: the line `calm` on standard input ends all faults, and is answered by the same line.
    pub(crate) control: bool,
}

impl Options {
    /// Reads the flags.
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (mut faults, mut places, mut seed, mut faulty) = (Vec::new(), Vec::new(), 1, u64::MAX);
        let mut options = Self {
            port: 0,
            log: None,
            struck: None,
            honour_keys: true,
            key_lifetime: Duration::from_hours(24),
            strict: false,
            delay: Duration::ZERO,
            faults: Faults::new(Vec::new(), Vec::new(), 1, 0),
            fast: false,
            limit: None,
            refused: false,
            control: false,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--fast" => options.fast = true,
                "--refused" => options.refused = true,
                "--control" => options.control = true,
                "--struck" => options.struck = Some(value()?.into()),
                "--port" => options.port = value()?.parse()?,
                "--log" => options.log = Some(value()?.into()),
                "--honour-keys" => options.honour_keys = value()?.parse()?,
                "--key-seconds" => options.key_lifetime = Duration::from_secs(value()?.parse()?),
                "--strict" => options.strict = true,
                "--limit" => options.limit = Some(value()?.parse()?),
                "--delay-ms" => options.delay = Duration::from_millis(value()?.parse()?),
                "--seed" => seed = value()?.parse()?,
                "--faulty" => faulty = value()?.parse()?,
                "--fault" => {
                    let text = value()?;
                    let (name, probability) = text.split_once('=').ok_or("--fault takes NAME=PROBABILITY")?;
                    faults.push((Fault::named(name)?, probability.parse()?));
                }
                "--fault-at" => {
                    let text = value()?;
                    let (name, place) = text.split_once('=').ok_or("--fault-at takes NAME=N")?;
                    places.push((Fault::named(name)?, place.parse()?));
                }
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        options.faults = Faults::new(faults, places, seed, faulty);
        Ok(options)
    }
}
