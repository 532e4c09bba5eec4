//! Key files: what `keygen` makes, what `record` reads and moves forward.
