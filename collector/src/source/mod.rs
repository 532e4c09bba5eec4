//! The sources: each opens one interface of the kernel and gives its raw records.

pub mod fanotify;
pub mod sock_diag;
