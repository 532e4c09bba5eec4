//! The program: arguments into a call, a result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    saigen_collector::cli::run(std::env::args_os())
}
