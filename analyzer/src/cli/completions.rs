//! `saigen completions`: completions for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::cli::{Done, Failure, Screen, definition};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  saigen completions bash > /etc/bash_completion.d/saigen")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the completions.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn run(&self, screen: &mut Screen) -> Result<Done, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut definition(), "saigen", &mut text);
        std::io::Write::write_all(screen.out(), &text)?;
        Ok(Done::Clean)
    }
}
