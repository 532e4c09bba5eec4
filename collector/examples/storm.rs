//! The workload of the completeness measurement: starts programs as fast as they go.
//!
//! `storm COUNT PROGRAM [ARGUMENT…]` starts PROGRAM so often, each time with its number as the last
//! argument, two at once, and prints how many it started.

use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, count, program, rest @ ..] = &arguments[..] else {
        eprintln!("usage: storm COUNT PROGRAM [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse::<u32>() else {
        eprintln!("storm: {count} is no number");
        return ExitCode::from(2);
    };
    let (next, started) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let status = Command::new(program)
                        .args(rest)
                        .arg(number.to_string())
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .status();
                    if status.is_ok() {
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    println!("{}", started.load(Ordering::Relaxed));
    ExitCode::SUCCESS
}
