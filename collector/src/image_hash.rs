//! Hashes of executables, each computed once.
