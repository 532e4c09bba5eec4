//! Which variables of an environment are kept: those that change what a program loads or runs, where
//! shells keep what was typed, and who someone was before. All others are left alone: they hold
//! passwords and tokens.

/// The variables, by name.
pub const CHOSEN: &[&[u8]] = &[
    b"BASH_ENV",
    b"DOTNET_STARTUP_HOOKS",
    b"ENV",
    b"GCONV_PATH",
    b"GIT_SSH_COMMAND",
    b"GLIBC_TUNABLES",
    b"HISTFILE",
    b"HISTFILESIZE",
    b"HISTSIZE",
    b"JAVA_TOOL_OPTIONS",
    b"LD_AUDIT",
    b"LD_LIBRARY_PATH",
    b"LD_PRELOAD",
    b"NODE_OPTIONS",
    b"PATH",
    b"PERL5LIB",
    b"PERL5OPT",
    b"PROMPT_COMMAND",
    b"PYTHONPATH",
    b"PYTHONSTARTUP",
    b"RUBYOPT",
    b"SSH_CONNECTION",
    b"SUDO_COMMAND",
    b"SUDO_USER",
];

/// Bytes that are kept of one environment. Whoever sets more hides nothing: it says so.
pub const BYTES_MAX: usize = 8 * 1024;

/// Whether `NAME=value` is kept: it is one of ours, or of the `added` names.
#[must_use]
pub fn is_chosen(variable: &[u8], added: &[Vec<u8>]) -> bool {
    let name = variable.split(|byte| *byte == b'=').next();
    name.is_some_and(|name| {
        CHOSEN.binary_search(&name).is_ok() || added.iter().any(|other| other == name)
    })
}

/// The chosen variables of an environment as `/proc/PID/environ` has it, each ended by NUL.
#[must_use]
pub fn chosen(environment: &[u8], added: &[Vec<u8>]) -> Vec<u8> {
    let mut kept = Vec::new();
    for variable in environment.split(|byte| *byte == 0) {
        if is_chosen(variable, added) && kept.len() + variable.len() < BYTES_MAX {
            kept.extend_from_slice(variable);
            kept.push(0);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_loads_is_kept_and_what_is_secret_is_not() {
        let environment = b"HOME=/root\0LD_PRELOAD=/tmp/x.so\0AWS_SECRET_ACCESS_KEY=s\0PATH=/bin\0PATHS=no\0LD_PRELOAD\0";
        assert_eq!(
            chosen(environment, &[]),
            b"LD_PRELOAD=/tmp/x.so\0PATH=/bin\0LD_PRELOAD\0"
        );
        assert!(chosen(b"", &[]).is_empty());
        let added = [b"HOME".to_vec()];
        assert!(chosen(environment, &added).starts_with(b"HOME=/root\0LD_PRELOAD"));
    }

    #[test]
    fn the_names_are_in_order_so_that_they_are_found() {
        assert!(CHOSEN.is_sorted());
        assert!(CHOSEN.iter().all(|name| is_chosen(name, &[])));
    }

    #[test]
    fn an_endless_variable_is_left_out() {
        let long = [b"PATH=".to_vec(), vec![b'/'; 10_000]].concat();
        assert!(chosen(&long, &[]).is_empty());
    }
}
