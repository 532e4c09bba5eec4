//! The witness.

fn main() {}
