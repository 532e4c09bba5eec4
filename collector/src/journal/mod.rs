//! The writer of journals: frames into segments, in a directory, durable when it says so.
