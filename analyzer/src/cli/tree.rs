//! `saigen tree`: who created whom.

use clap::Args;
use saigen_schemas::report::Moment;

use crate::cli::inputs::Inputs;
use crate::cli::{Done, Failure, Screen};
use crate::pipeline;
use crate::replay::{Dress, Replay, Tree, TreeOptions};
use crate::text::safe_text;

/// Show the tree of processes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  saigen tree /evidence/web-1
  saigen tree /evidence/web-1 --at 2026-05-04T10:00:00Z
  saigen tree /evidence/web-1 --pid 4711 --json")]
pub struct ShowTree {
    #[command(flatten)]
    inputs: Inputs,
    /// Only this process and what descends from it
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Only processes that lived at this moment, and those that lead to them
    #[arg(long, value_name = "TIME")]
    at: Option<Moment>,
    /// Children of one process that are shown; more are counted
    #[arg(long, value_name = "N", default_value_t = TreeOptions::default().children_max)]
    children: usize,
}

impl ShowTree {
    /// Replays the evidence and shows the tree.
    ///
    /// # Errors
    /// Where nothing could be read, or the output not be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let opened = self.inputs.open(None, screen)?;
        opened.warn(screen);
        let mut replay = Replay::new();
        let mut merge = pipeline::merged(opened.exhibits());
        while merge.step(|reference, event| replay.apply(reference, event)) {}
        let options = TreeOptions {
            pid: self.pid,
            at_us: self.at.map(Moment::us),
            children_max: self.children,
        };
        let tree = Tree::new(replay.processes(), options);
        if screen.json() {
            tree.write_json(screen.out())?;
        } else {
            let zone = screen.zone();
            let dress = Dress {
                time: &|us| zone.show(us),
                text: &safe_text,
            };
            tree.write_text(screen.out(), &dress)?;
        }
        Ok(opened.done)
    }
}
