//! The state of the machine when recording begins: processes, sockets, modules, accounts, autostarts.
