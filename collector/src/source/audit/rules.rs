//! Our audit rules: which system calls are recorded, and how a rule is told to the kernel.
//!
//! Beside a 64-bit kernel's own calls those of its 32-bit face are named too: a call by the other
//! door must not go unseen. `setns` and `unshare` need no rule: perf tells what became of them.

use crate::source::native::{push_u32, u32_at};

/// What every key of ours begins with. Rules that bear it are ours to remove.
pub const KEY: &[u8] = b"saigen";

/// Bytes of `audit_rule_data` before its texts.
const RULE_BYTES: usize = 4 * (3 + MASK_WORDS + 3 * FIELDS_MAX + 1);
const MASK_WORDS: usize = 64;
const FIELDS_MAX: usize = 64;

/// Where the arrays of `audit_rule_data` begin, bytes.
const FIELDS_AT: usize = 4 * (3 + MASK_WORDS);
const VALUES_AT: usize = FIELDS_AT + 4 * FIELDS_MAX;
const BUFFER_LEN_AT: usize = RULE_BYTES - 4;

const FILTER_EXIT: u32 = 4;
const FILTER_EXCLUDE: u32 = 5;
const FILTER_URING_EXIT: u32 = 7;
const ALWAYS: u32 = 2;
const EQUAL: u32 = 0x4000_0000;

const FIELD_ARCH: u32 = 11;
const FIELD_MESSAGE_TYPE: u32 = 12;
const FIELD_SUCCESS: u32 = 104;
const FIELD_SADDR_FAM: u32 = 113;
const FIELD_ARG0: u32 = 200;
const FIELD_KEY: u32 = 210;

/// A machine's face towards programs: `AUDIT_ARCH_*` and its numbers of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit x86.
    X86,
    /// 32-bit x86, on a 64-bit kernel.
    X86In32,
    /// 64-bit ARM.
    Arm,
}

impl Abi {
    /// The faces of the machine that this program is built for.
    pub const OURS: &'static [Abi] = if cfg!(target_arch = "aarch64") {
        &[Abi::Arm]
    } else {
        &[Abi::X86, Abi::X86In32]
    };

    /// `AUDIT_ARCH_*`, as it stands in a record's `arch` field.
    #[must_use]
    pub const fn audit_arch(self) -> u32 {
        match self {
            Abi::X86 => 0xc000_003e,
            Abi::X86In32 => 0x4000_0003,
            Abi::Arm => 0xc000_00b7,
        }
    }

    /// The face of a record's `arch` field.
    #[must_use]
    pub fn of_arch(arch: u32) -> Option<Abi> {
        [Abi::X86, Abi::X86In32, Abi::Arm]
            .into_iter()
            .find(|abi| abi.audit_arch() == arch)
    }
}

/// The system calls that we record or must tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the system call of its name")]
pub enum Call {
    Execve,
    Execveat,
    Connect,
    Accept,
    Accept4,
    Bind,
    Listen,
    Socketcall,
    Setuid,
    Setgid,
    Setreuid,
    Setregid,
    Setresuid,
    Setresgid,
    Setfsuid,
    Setfsgid,
    Setgroups,
    Capset,
    Ptrace,
    ProcessVmWritev,
    MemfdCreate,
    Bpf,
    InitModule,
    FinitModule,
    DeleteModule,
    KexecLoad,
    KexecFileLoad,
    Mount,
    Umount,
    MoveMount,
    PivotRoot,
    Chroot,
}

/// A call with its numbers on 64-bit x86, 32-bit x86 (the older and the 32-bit-id one) and ARM.
type Row = (Call, Option<u32>, [Option<u32>; 2], Option<u32>);

const NUMBERS: &[Row] = &[
    (Call::Execve, Some(59), [Some(11), None], Some(221)),
    (Call::Execveat, Some(322), [Some(358), None], Some(281)),
    (Call::Connect, Some(42), [Some(362), None], Some(203)),
    (Call::Accept, Some(43), [None, None], Some(202)),
    (Call::Accept4, Some(288), [Some(364), None], Some(242)),
    (Call::Bind, Some(49), [Some(361), None], Some(200)),
    (Call::Listen, Some(50), [Some(363), None], Some(201)),
    (Call::Socketcall, None, [Some(102), None], None),
    (Call::Setuid, Some(105), [Some(23), Some(213)], Some(146)),
    (Call::Setgid, Some(106), [Some(46), Some(214)], Some(144)),
    (Call::Setreuid, Some(113), [Some(70), Some(203)], Some(145)),
    (Call::Setregid, Some(114), [Some(71), Some(204)], Some(143)),
    (
        Call::Setresuid,
        Some(117),
        [Some(164), Some(208)],
        Some(147),
    ),
    (
        Call::Setresgid,
        Some(119),
        [Some(170), Some(210)],
        Some(149),
    ),
    (Call::Setfsuid, Some(122), [Some(138), Some(215)], Some(151)),
    (Call::Setfsgid, Some(123), [Some(139), Some(216)], Some(152)),
    (Call::Setgroups, Some(116), [Some(81), Some(206)], Some(159)),
    (Call::Capset, Some(126), [Some(185), None], Some(91)),
    (Call::Ptrace, Some(101), [Some(26), None], Some(117)),
    (
        Call::ProcessVmWritev,
        Some(311),
        [Some(348), None],
        Some(271),
    ),
    (Call::MemfdCreate, Some(319), [Some(356), None], Some(279)),
    (Call::Bpf, Some(321), [Some(357), None], Some(280)),
    (Call::InitModule, Some(175), [Some(128), None], Some(105)),
    (Call::FinitModule, Some(313), [Some(350), None], Some(273)),
    (Call::DeleteModule, Some(176), [Some(129), None], Some(106)),
    (Call::KexecLoad, Some(246), [Some(283), None], Some(104)),
    (Call::KexecFileLoad, Some(320), [None, None], Some(294)),
    (Call::Mount, Some(165), [Some(21), None], Some(40)),
    (Call::Umount, Some(166), [Some(22), Some(52)], Some(39)),
    (Call::MoveMount, Some(429), [Some(429), None], Some(429)),
    (Call::PivotRoot, Some(155), [Some(217), None], Some(41)),
    (Call::Chroot, Some(161), [Some(61), None], Some(51)),
];

impl Call {
    /// The call of a number; `None` for one that no rule of ours names.
    #[must_use]
    pub fn of(abi: Abi, number: u32) -> Option<Call> {
        NUMBERS
            .iter()
            .find(|row| numbers(abi, row).any(|known| known == number))
            .map(|row| row.0)
    }

    fn numbers(self, abi: Abi) -> impl Iterator<Item = u32> {
        NUMBERS
            .iter()
            .filter(move |row| row.0 == self)
            .flat_map(move |row| numbers(abi, row))
    }
}

fn numbers(abi: Abi, row: &Row) -> impl Iterator<Item = u32> + use<> {
    let both = match abi {
        Abi::X86 => [row.1, None],
        Abi::X86In32 => row.2,
        Abi::Arm => [row.3, None],
    };
    both.into_iter().flatten()
}

/// One rule, before it is told to the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    filter: u32,
    calls: Vec<u32>,
    fields: Vec<(u32, u32)>,
    key: Vec<u8>,
}

/// Operations of io_uring that open connections or change names: they pass by the system calls' rules.
/// `IORING_OP_ACCEPT`, `CONNECT`, and from `RENAMEAT` to `LINKAT`. Opens are left out: a server that
/// reads its files so makes thousands a second, and what is written through them is seen all the same.
const URING_OPERATIONS: [u32; 7] = [13, 16, 35, 36, 37, 38, 39];

/// What `ptrace` is asked for, where it reaches into another process: `POKETEXT`, `POKEDATA`,
/// `ATTACH`, `SEIZE`. A debugger's many other requests follow one of these.
const PTRACE_REQUESTS: [u32; 4] = [4, 5, 16, 0x4206];

/// `BPF_PROG_LOAD`.
const BPF_PROG_LOAD: u32 = 5;

/// `AF_INET` and `AF_INET6`. Local sockets are left out: they are many and reach no other machine.
const INTERNET_FAMILIES: [u32; 2] = [2, 10];

/// All our rules. `memory` goes into the key of one that seldom matches, so that what audit was set
/// to before us survives our own death.
#[must_use]
pub fn all(memory: &[u8]) -> Vec<Rule> {
    let success = (FIELD_SUCCESS, 1);
    let ids = [
        Call::Setuid,
        Call::Setgid,
        Call::Setreuid,
        Call::Setregid,
        Call::Setresuid,
        Call::Setresgid,
        Call::Setfsuid,
        Call::Setfsgid,
        Call::Setgroups,
        Call::Capset,
    ];
    let code = [
        Call::InitModule,
        Call::FinitModule,
        Call::DeleteModule,
        Call::KexecLoad,
        Call::KexecFileLoad,
    ];
    let places = [
        Call::Mount,
        Call::Umount,
        Call::MoveMount,
        Call::PivotRoot,
        Call::Chroot,
        Call::MemfdCreate,
        Call::ProcessVmWritev,
    ];
    let mut rules = Vec::new();
    for abi in Abi::OURS {
        rules.push(Rule::of(
            *abi,
            &[Call::Execve, Call::Execveat],
            &[success],
            KEY,
        ));
        rules.push(Rule::of(*abi, &ids, &[success], KEY));
        rules.push(Rule::of(*abi, &places, &[success], KEY));
        rules.push(Rule::of(*abi, &code, &[], &[KEY, memory].concat()));
        rules.push(Rule::of(
            *abi,
            &[Call::Bpf],
            &[(FIELD_ARG0, BPF_PROG_LOAD)],
            KEY,
        ));
        for request in PTRACE_REQUESTS {
            rules.push(Rule::of(
                *abi,
                &[Call::Ptrace],
                &[(FIELD_ARG0, request)],
                KEY,
            ));
        }
        for family in INTERNET_FAMILIES {
            let calls = [
                Call::Connect,
                Call::Accept,
                Call::Accept4,
                Call::Bind,
                Call::Socketcall,
            ];
            rules.push(Rule::of(*abi, &calls, &[(FIELD_SADDR_FAM, family)], KEY));
        }
    }
    rules.push(Rule {
        filter: FILTER_URING_EXIT,
        calls: URING_OPERATIONS.to_vec(),
        fields: Vec::new(),
        key: KEY.to_vec(),
    });
    rules
}

impl Rule {
    fn of(abi: Abi, calls: &[Call], fields: &[(u32, u32)], key: &[u8]) -> Rule {
        Rule {
            filter: FILTER_EXIT,
            calls: calls.iter().flat_map(|call| call.numbers(abi)).collect(),
            fields: std::iter::once((FIELD_ARCH, abi.audit_arch()))
                .chain(fields.iter().copied())
                .collect(),
            key: key.to_vec(),
        }
    }

    /// The rule as `struct audit_rule_data`: flags, action, field count, 64 words of call mask,
    /// 64 fields, 64 values, 64 operators, length of the texts, the texts.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut mask = [0_u32; MASK_WORDS];
        for call in &self.calls {
            let word = usize::try_from(call / 32)
                .ok()
                .and_then(|word| mask.get_mut(word));
            if let Some(word) = word {
                *word |= 1 << (call % 32);
            }
        }
        let key_len = u32::try_from(self.key.len()).unwrap_or(u32::MAX);
        let fields: Vec<(u32, u32)> = self
            .fields
            .iter()
            .copied()
            .chain((key_len > 0).then_some((FIELD_KEY, key_len)))
            .collect();
        let mut bytes = Vec::with_capacity(RULE_BYTES + self.key.len());
        for word in [
            self.filter,
            ALWAYS,
            u32::try_from(fields.len()).unwrap_or(0),
        ]
        .into_iter()
        .chain(mask)
        {
            push_u32(&mut bytes, word);
        }
        let padded = |pick: fn(&(u32, u32)) -> u32| {
            fields
                .iter()
                .map(pick)
                .chain(std::iter::repeat(0))
                .take(FIELDS_MAX)
                .collect::<Vec<u32>>()
        };
        for word in [
            padded(|field| field.0),
            padded(|field| field.1),
            padded(|_| EQUAL),
        ]
        .concat()
        {
            push_u32(&mut bytes, word);
        }
        push_u32(&mut bytes, key_len);
        bytes.extend_from_slice(&self.key);
        bytes
    }
}

/// Leaves out the records of the command line as a process shows it (`PROCTITLE`, 1327), which come
/// with every event and repeat what the start's own arguments say. They are a seventh of all that audit
/// writes for a start. A rule that leaves out cannot bear a key: that it is ours stands in the
/// [memory](super::status::Memory) of the others.
#[must_use]
pub fn without_titles() -> Rule {
    Rule {
        filter: FILTER_EXCLUDE,
        calls: Vec::new(),
        fields: vec![(FIELD_MESSAGE_TYPE, 1327)],
        key: Vec::new(),
    }
}

/// What stands behind [`KEY`] in a listed rule's key; `None` for a rule that is not ours.
#[must_use]
pub fn our_key(rule: &[u8]) -> Option<&[u8]> {
    let count = usize::try_from(u32_at(rule, 8)?).ok()?.min(FIELDS_MAX);
    let texts = rule.get(RULE_BYTES..)?;
    let texts = texts.get(..usize::try_from(u32_at(rule, BUFFER_LEN_AT)?).ok()?)?;
    let mut at = 0_usize;
    for field in 0..count {
        let kind = u32_at(rule, FIELDS_AT + 4 * field)?;
        if !HAS_TEXT.contains(&kind) {
            continue;
        }
        let len = usize::try_from(u32_at(rule, VALUES_AT + 4 * field)?).ok()?;
        let text = texts.get(at..at.checked_add(len)?)?;
        if kind == FIELD_KEY {
            return text.strip_prefix(KEY);
        }
        at += len;
    }
    None
}

/// Fields whose value is the length of a text in the rule's buffer: the ten of security labels,
/// watch, directory, executable, and key.
const HAS_TEXT: [u32; 14] = [
    13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 105, 107, 112, FIELD_KEY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_ours_is_known_again_and_no_other() {
        for rule in all(b" wait=15000") {
            let bytes = rule.encode();
            assert_eq!(bytes.len(), RULE_BYTES + rule.key.len());
            let rest = our_key(&bytes).unwrap();
            assert!(rest.is_empty() || rest == b" wait=15000");
        }
        let foreign = Rule {
            filter: FILTER_EXIT,
            calls: vec![2],
            fields: vec![],
            key: b"other".to_vec(),
        };
        assert_eq!(our_key(&foreign.encode()), None);
        let without_key = without_titles().encode();
        assert_eq!(without_key.len(), RULE_BYTES);
        assert_eq!(u32_at(&without_key, 8), Some(1), "one field");
        assert_eq!(our_key(&without_key), None);
    }

    #[test]
    fn a_key_behind_a_directory_is_found() {
        let mut rule = Rule {
            filter: FILTER_EXIT,
            calls: vec![2],
            fields: vec![],
            key: b"/etcsaigen".to_vec(),
        };
        rule.fields.push((107, 4));
        let mut bytes = rule.encode();
        let key_value_at = VALUES_AT + 4;
        bytes[key_value_at..key_value_at + 4].copy_from_slice(&bytes_of(6));
        assert_eq!(our_key(&bytes), Some(&b""[..]));
    }

    #[test]
    fn lengths_that_lie_are_no_key() {
        let mut bytes = all(b"").remove(0).encode();
        bytes[BUFFER_LEN_AT..BUFFER_LEN_AT + 4].copy_from_slice(&bytes_of(u32::MAX));
        assert_eq!(our_key(&bytes), None);
        assert_eq!(our_key(&[0; 16]), None);
    }

    #[test]
    fn numbers_lead_back_to_their_calls() {
        assert_eq!(Call::of(Abi::X86, 59), Some(Call::Execve));
        assert_eq!(Call::of(Abi::X86In32, 11), Some(Call::Execve));
        assert_eq!(Call::of(Abi::X86In32, 213), Some(Call::Setuid));
        assert_eq!(Call::of(Abi::Arm, 221), Some(Call::Execve));
        assert_eq!(Call::of(Abi::X86, 0), None);
    }

    fn bytes_of(number: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_u32(&mut bytes, number);
        bytes
    }
}
