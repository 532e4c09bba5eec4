//! `saigen score`: a case against what is known to have happened.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::case;
use crate::cli::{Done, Failure, Screen};
use crate::score::{Compared, Truth, score};
use crate::text::safe_text;

/// Compare a case with what is known to have happened
///
/// Processes are known by their GUID, else by host, pid and a start within a second. Says what the
/// incident that fits best holds, what it misses, what it holds besides, whether it names the beginning
/// and keeps the order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen score case --truth truth.json
  saigen score case --truth first.json --truth second.json --json")]
pub struct Score {
    /// The case
    case: PathBuf,
    /// What is known: a file of the schema gt/1; repeatable, one for each campaign
    #[arg(long, value_name = "FILE", required = true)]
    truth: Vec<PathBuf>,
}

impl Score {
    /// Compares, and prints the numbers.
    ///
    /// # Errors
    /// Where the folder is no case, or a truth cannot be read.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let report =
            case::read_report(&self.case).map_err(|error| Failure::new(error.to_string()))?;
        let mut compared = Vec::new();
        for path in &self.truth {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            let truth = Truth::read(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            compared.push(score(&report, &truth));
        }
        let shared = campaigns_per_incident(&compared);
        if screen.json() {
            let said = json!({
                "schema": "saigen-score/1",
                "incidents": report.incidents.len(),
                "campaigns_per_incident": shared,
                "counts": report.counts,
                "truths": compared.iter().map(as_json).collect::<Vec<_>>(),
            });
            writeln!(screen.out(), "{said:#}")?;
        } else {
            for one in &compared {
                tell(one, screen)?;
            }
            if compared.len() > 1 {
                writeln!(screen.out(), "campaigns in one incident: {shared} at most")?;
            }
        }
        Ok(Done::Clean)
    }
}

/// The most campaigns whose best incident is the same.
fn campaigns_per_incident(compared: &[Compared]) -> usize {
    let of = |one: &Compared| one.incident.as_ref().map(|(id, _, _)| id.clone());
    let shared = compared.iter().filter_map(of).map(|id| {
        let same = compared.iter().filter(|one| of(one).as_ref() == Some(&id));
        same.count()
    });
    shared.max().unwrap_or(0)
}

fn as_json(one: &Compared) -> serde_json::Value {
    let mut value = json!(one);
    value["recall"] = json!(one.best.and_then(|fit| fit.recall(one.wanted)));
    value["precision"] = json!(one.best.and_then(|fit| fit.precision()));
    value["recall_all"] = json!(one.all.recall(one.wanted));
    value["precision_all"] = json!(one.all.precision());
    value
}

fn tell(one: &Compared, screen: &mut Screen) -> Result<(), Failure> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    let out = screen.out();
    writeln!(
        out,
        "{}: {} processes wanted",
        safe_text(&one.truth),
        one.wanted
    )?;
    if let (Some(fit), Some((id, rank, severity))) = (one.best, &one.incident) {
        writeln!(
            out,
            "  best incident {id} (rank {rank}, {}): recall {} ({} of {}), precision {} ({} others)",
            severity.word(),
            number(fit.recall(one.wanted)),
            fit.found,
            one.wanted,
            number(fit.precision()),
            fit.others
        )?;
    } else {
        writeln!(out, "  no incident holds a wanted process")?;
    }
    writeln!(
        out,
        "  all incidents: recall {}, precision {}; {} hold wanted processes, {} none",
        number(one.all.recall(one.wanted)),
        number(one.all.precision()),
        one.incidents_of_truth,
        one.false_incidents.values().sum::<usize>()
    )?;
    let edges = one.edges;
    writeln!(
        out,
        "  edges {} of {} ({} wrong), between hosts {} of {}; entry rank {} of {} ({})",
        edges.found,
        edges.wanted,
        edges.wrong,
        edges.crossed,
        edges.crossings,
        one.entry
            .rank
            .map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
        one.entry.sentences,
        safe_text(
            &one.entry
                .names
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        )
    )?;
    writeln!(
        out,
        "  steps told {} of {}, tau {}; on the page {} things, {} links, {} steps",
        one.order.told,
        one.order.expected,
        number(one.order.tau),
        one.size.nodes,
        one.size.links,
        one.size.steps
    )?;
    for since in &one.compromised {
        writeln!(
            out,
            "  compromised: {}: {}, {} s off",
            safe_text(&since.process),
            since.role.map_or("not named", |role| role.word()),
            number(since.off_s)
        )?;
    }
    let lists = [
        ("missing", &one.missing),
        ("other", &one.others),
        ("untold", &one.order.untold),
    ];
    for (name, lines) in lists {
        for line in lines {
            writeln!(out, "  {name}: {}", safe_text(line))?;
        }
    }
    Ok(())
}
