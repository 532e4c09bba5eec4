//! What several commands take to say what is looked for: rules, indicators, exceptions.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{Failure, Screen};
use crate::detect::{self, Engine, Indicators, Pack, Placeholders};

/// What is looked for, and what is not.
#[derive(Debug, Args)]
pub struct Detecting {
    /// Rules in the Sigma language, a file or a folder, beside the built-in ones; repeatable
    #[arg(long, value_name = "DIR")]
    pub rules: Vec<PathBuf>,
    /// Leave the built-in rules out
    #[arg(long)]
    pub no_built_in: bool,
    /// Values for placeholders in rules: a file with one `name: value` a line
    #[arg(long, value_name = "FILE")]
    pub placeholders: Option<PathBuf>,
    /// Indicators: hashes, addresses, domains, URLs, paths, names; a plain list, CSV or STIX 2.1; repeatable
    #[arg(long, value_name = "FILE")]
    pub ioc: Vec<PathBuf>,
    /// Hashes of files known to be good: findings that rest on the file alone are left out; repeatable
    #[arg(long, value_name = "FILE")]
    pub known_good: Vec<PathBuf>,
    /// Exceptions: findings that are ordinary here; each use is counted and told
    #[arg(long, value_name = "FILE")]
    pub allow: Vec<PathBuf>,
    /// Threads that hold events against rules; as many as there are cores if not given
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl Detecting {
    /// Reads all of it. What is wrong with single lines of lists is told, and the rest used.
    ///
    /// # Errors
    /// Where a file cannot be read, or an exception is wrong: it would be applied by half.
    pub fn engine(&self, screen: &mut Screen) -> Result<Engine, Failure> {
        let pack = if self.no_built_in {
            Pack::Without
        } else {
            Pack::BuiltIn
        };
        let mut engine = load(pack, &self.rules, self.placeholders.as_deref())?;
        let indicators = self.indicators(screen)?;
        engine.watch_for(indicators);
        for path in &self.allow {
            let wrong = |why: String| Failure::new(format!("{}: {why}", path.display()));
            let text = std::fs::read_to_string(path)
                .map_err(|error| wrong(format!("cannot read exceptions: {error}")))?;
            let exceptions = detect::read_exceptions(&text).map_err(wrong)?;
            engine.allow(exceptions).map_err(wrong)?;
        }
        Ok(engine)
    }

    fn indicators(&self, screen: &mut Screen) -> Result<Indicators, Failure> {
        let mut indicators = Indicators::default();
        for path in &self.ioc {
            let file = open(path, "indicators")?;
            indicators
                .add(&last_part(path), file)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
        for path in &self.known_good {
            let file = open(path, "known-good hashes")?;
            indicators
                .add_known_good(&last_part(path), file)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
        for list in indicators.lists().filter(|list| list.left_out > 0) {
            let first = list.reasons.first().map_or("", String::as_str);
            screen.warn(&format!(
                "{}: {} indicators taken, {} lines or objects left out, the first: {first}",
                list.name, list.taken, list.left_out
            ));
        }
        Ok(indicators)
    }

    /// How many threads hold events against rules.
    pub fn threads(&self) -> NonZeroUsize {
        self.threads
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The options as words of a command, without folders of this machine.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let lists = [
            ("--rules", &self.rules),
            ("--ioc", &self.ioc),
            ("--known-good", &self.known_good),
            ("--allow", &self.allow),
        ];
        for (name, paths) in lists {
            words.extend(
                paths
                    .iter()
                    .map(|path| format!("{name} {}", last_part(path))),
            );
        }
        if self.no_built_in {
            words.push("--no-built-in".to_owned());
        }
        let placeholders = self.placeholders.iter();
        words.extend(placeholders.map(|path| format!("--placeholders {}", last_part(path))));
        words
    }
}

fn open(path: &Path, what: &str) -> Result<File, Failure> {
    File::open(path)
        .map_err(|error| Failure::new(format!("{}: cannot read {what}: {error}", path.display())))
}

fn last_part(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Loads rules.
///
/// # Errors
/// Where a file or folder, or the file of placeholders, cannot be read.
pub fn load(
    pack: Pack,
    folders: &[PathBuf],
    placeholders: Option<&Path>,
) -> Result<Engine, Failure> {
    let given = match placeholders {
        None => Placeholders::default(),
        Some(path) => detect::read_placeholders(path).map_err(|error| {
            let path = path.display();
            Failure::new(format!("{path}: cannot read placeholders: {error}"))
        })?,
    };
    for folder in folders {
        std::fs::metadata(folder).map_err(|error| {
            let path = folder.display();
            Failure::new(format!("{path}: cannot read rules: {error}"))
        })?;
    }
    detect::load_rules(pack, folders, &given)
        .map_err(|error| Failure::new(format!("cannot read rules: {error}")))
}
