//! Files, by fanotify: what was created, written, renamed, deleted, opened to be run.
