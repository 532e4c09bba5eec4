//! The judge.

fn main() -> std::process::ExitCode {
    saigen_analyzer::cli::run(std::env::args_os())
}
