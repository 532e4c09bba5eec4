//! The evidence wing: bytes, files and offsets. It opens evidence read-only, says how far it
//! can be trusted, and gives its events in order. It never interprets them.
