//! The command line: its words, its help, its exit codes.
