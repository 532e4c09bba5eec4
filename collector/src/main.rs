//! The program: arguments into a call, a result into an exit code.

fn main() {}
