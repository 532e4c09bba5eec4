//! Sockets, by sock_diag: what is open now, and what was just closed.
