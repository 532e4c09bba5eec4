//! `saigen export`: the nodes and edges of a case's incidents, for other tools.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::case;
use crate::cli::{Done, Failure, Screen};
use crate::report::{ExportTable, write_csv, write_graphml, write_jsonl};

/// Write the nodes and edges of a case, with their labels and evidence, for other tools
///
/// Nodes are the processes, files, registry entries, connections and persistence of every incident;
/// edges are the links between them, each with its ground.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen export case --format graphml -o case.graphml
  saigen export case --format jsonl | jq 'select(.type == \"edge\")'
  saigen export case --format csv -o folder      (nodes.csv and edges.csv)")]
pub struct Export {
    /// The case
    case: PathBuf,
    /// How it is written
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write to, for csv a folder; it must not exist. Without it, to stdout
    #[arg(short, long, value_name = "PLACE")]
    output: Option<PathBuf>,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Two tables, nodes.csv and edges.csv
    Csv,
    /// One XML document for graph tools
    Graphml,
    /// One JSON object a line, nodes before edges
    Jsonl,
}

impl Export {
    /// Writes the export.
    ///
    /// # Errors
    /// Where the folder is no case, or the place is taken or cannot be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let report =
            case::read_report(&self.case).map_err(|error| Failure::new(error.to_string()))?;
        match (self.format, &self.output) {
            (Format::Csv, None) => {
                return Err(Failure::new(
                    "csv is two tables: say with -o to which new folder",
                ));
            }
            (Format::Csv, Some(folder)) => {
                std::fs::create_dir(folder).map_err(|error| cannot(folder, &error))?;
                for table in [ExportTable::Nodes, ExportTable::Edges] {
                    let path = folder.join(table.file_name());
                    write_new(&path, |out| write_csv(&report, table, out))?;
                }
            }
            (Format::Graphml, Some(path)) => write_new(path, |out| write_graphml(&report, out))?,
            (Format::Jsonl, Some(path)) => write_new(path, |out| write_jsonl(&report, out))?,
            (Format::Graphml, None) => write_graphml(&report, screen.out())?,
            (Format::Jsonl, None) => write_jsonl(&report, screen.out())?,
        }
        Ok(Done::Clean)
    }
}

fn write_new(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let file = File::create_new(path).map_err(|error| cannot(path, &error))?;
    let mut out = BufWriter::new(file);
    write(&mut out)
        .and_then(|()| out.flush())
        .map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: cannot write: {error}", path.display()))
}
