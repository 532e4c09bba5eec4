//! Types of audit records: names and numbers, as the kernel and the audit tools give them.

/// Number of a record type; 0 for one that is in no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordType(pub(super) u32);

impl RecordType {
    pub(super) const USER_AUTH: Self = Self(1100);
    pub(super) const USER_START: Self = Self(1105);
    pub(super) const USER_END: Self = Self(1106);
    pub(super) const USER_AVC: Self = Self(1107);
    pub(super) const USER_LOGIN: Self = Self(1112);
    pub(super) const USER_CMD: Self = Self(1123);
    pub(super) const SERVICE_START: Self = Self(1130);
    pub(super) const SERVICE_STOP: Self = Self(1131);
    pub(super) const DAEMON_START: Self = Self(1200);
    pub(super) const DAEMON_END: Self = Self(1201);
    pub(super) const DAEMON_ABORT: Self = Self(1202);
    pub(super) const SYSCALL: Self = Self(1300);
    pub(super) const PATH: Self = Self(1302);
    pub(super) const CONFIG_CHANGE: Self = Self(1305);
    pub(super) const SOCKADDR: Self = Self(1306);
    pub(super) const CWD: Self = Self(1307);
    pub(super) const EXECVE: Self = Self(1309);
    pub(super) const EOE: Self = Self(1320);
    pub(super) const CAPSET: Self = Self(1322);
    pub(super) const SECCOMP: Self = Self(1326);
    pub(super) const PROCTITLE: Self = Self(1327);
    pub(super) const KERN_MODULE: Self = Self(1330);
    pub(super) const BPF: Self = Self(1334);
    pub(super) const AVC: Self = Self(1400);
    pub(super) const ANOM_ABEND: Self = Self(1701);
    pub(super) const KERNEL: Self = Self(2000);
    /// One-line events of the auoms forwarder. The kernel has no number for them.
    pub(super) const AUOMS: Self = Self(u32::MAX);

    /// The type of a name: in words, as a number, or as `UNKNOWN[number]`.
    pub(super) fn of(name: &[u8]) -> Self {
        // Nine of ten records of a busy host are of these.
        let known = match name {
            b"SYSCALL" => Self::SYSCALL,
            b"PATH" => Self::PATH,
            b"CWD" => Self::CWD,
            b"PROCTITLE" => Self::PROCTITLE,
            b"EXECVE" => Self::EXECVE,
            b"SOCKADDR" => Self::SOCKADDR,
            b"EOE" => Self::EOE,
            _ => Self::by_table(name),
        };
        if known != Self::default() {
            return known;
        }
        if name.starts_with(b"AUOMS_") {
            return Self::AUOMS;
        }
        let digits = name
            .strip_prefix(b"UNKNOWN[")
            .and_then(|rest| rest.strip_suffix(b"]"))
            .unwrap_or(name);
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|text| text.parse().ok());
        Self(number.unwrap_or(0))
    }

    fn by_table(name: &[u8]) -> Self {
        let Ok(name) = std::str::from_utf8(name) else {
            return Self::default();
        };
        for (first, names) in TYPES {
            if let Some(place) = names.split_ascii_whitespace().position(|own| own == name) {
                return Self(first.saturating_add(u32::try_from(place).unwrap_or(0)));
            }
        }
        Self::default()
    }

    /// Its name; `None` for a number that is in no table.
    pub(super) fn name(self) -> Option<&'static str> {
        let (first, names) = TYPES.iter().rev().find(|(first, _)| *first <= self.0)?;
        let place = usize::try_from(self.0 - first).ok()?;
        names
            .split_ascii_whitespace()
            .nth(place)
            .filter(|name| *name != "-")
    }
}

/// Names in runs of numbers; `-` is a number that has none.
const TYPES: &[(u32, &str)] = &[
    (1005, "USER LOGIN"),
    (
        1100,
        "USER_AUTH USER_ACCT USER_MGMT CRED_ACQ CRED_DISP USER_START USER_END USER_AVC \
         USER_CHAUTHTOK USER_ERR CRED_REFR USYS_CONFIG USER_LOGIN USER_LOGOUT ADD_USER DEL_USER \
         ADD_GROUP DEL_GROUP DAC_CHECK CHGRP_ID TEST TRUSTED_APP USER_SELINUX_ERR USER_CMD \
         USER_TTY CHUSER_ID GRP_AUTH SYSTEM_BOOT SYSTEM_SHUTDOWN SYSTEM_RUNLEVEL SERVICE_START \
         SERVICE_STOP GRP_MGMT GRP_CHAUTHTOK MAC_CHECK ACCT_LOCK ACCT_UNLOCK USER_DEVICE \
         SOFTWARE_UPDATE",
    ),
    (
        1200,
        "DAEMON_START DAEMON_END DAEMON_ABORT DAEMON_CONFIG DAEMON_RECONFIG DAEMON_ROTATE \
         DAEMON_RESUME DAEMON_ACCEPT DAEMON_CLOSE DAEMON_ERR",
    ),
    (
        1300,
        "SYSCALL FS_WATCH PATH IPC SOCKETCALL CONFIG_CHANGE SOCKADDR CWD - EXECVE - IPC_SET_PERM \
         MQ_OPEN MQ_SENDRECV MQ_NOTIFY MQ_GETSETATTR KERNEL_OTHER FD_PAIR OBJ_PID TTY EOE \
         BPRM_FCAPS CAPSET MMAP NETFILTER_PKT NETFILTER_CFG SECCOMP PROCTITLE FEATURE_CHANGE \
         REPLACE KERN_MODULE FANOTIFY TIME_INJOFFSET TIME_ADJNTPVAL BPF EVENT_LISTENER URINGOP \
         OPENAT2 DM_CTRL DM_EVENT",
    ),
    (
        1400,
        "AVC SELINUX_ERR AVC_PATH MAC_POLICY_LOAD MAC_STATUS MAC_CONFIG_CHANGE MAC_UNLBL_ALLOW \
         MAC_CIPSOV4_ADD MAC_CIPSOV4_DEL MAC_MAP_ADD MAC_MAP_DEL MAC_IPSEC_ADDSA \
         MAC_IPSEC_DELSA MAC_IPSEC_ADDSPD MAC_IPSEC_DELSPD MAC_IPSEC_EVENT MAC_UNLBL_STCADD \
         MAC_UNLBL_STCDEL MAC_CALIPSO_ADD MAC_CALIPSO_DEL",
    ),
    (
        1500,
        "APPARMOR APPARMOR_AUDIT APPARMOR_ALLOWED APPARMOR_DENIED APPARMOR_HINT APPARMOR_STATUS \
         APPARMOR_ERROR APPARMOR_KILL",
    ),
    (1700, "ANOM_PROMISCUOUS ANOM_ABEND ANOM_LINK ANOM_CREAT"),
    (
        1800,
        "INTEGRITY_DATA INTEGRITY_METADATA INTEGRITY_STATUS INTEGRITY_HASH INTEGRITY_PCR \
         INTEGRITY_RULE INTEGRITY_EVM_XATTR INTEGRITY_POLICY_RULE",
    ),
    (2000, "KERNEL"),
    (
        2100,
        "ANOM_LOGIN_FAILURES ANOM_LOGIN_TIME ANOM_LOGIN_SESSIONS ANOM_LOGIN_ACCT \
         ANOM_LOGIN_LOCATION ANOM_MAX_DAC ANOM_MAX_MAC ANOM_AMTU_FAIL ANOM_RBAC_FAIL \
         ANOM_RBAC_INTEGRITY_FAIL ANOM_CRYPTO_FAIL ANOM_ACCESS_FS ANOM_EXEC ANOM_MK_EXEC \
         ANOM_ADD_ACCT ANOM_DEL_ACCT ANOM_MOD_ACCT ANOM_ROOT_TRANS ANOM_LOGIN_SERVICE",
    ),
    (
        2200,
        "RESP_ANOMALY RESP_ALERT RESP_KILL_PROC RESP_TERM_ACCESS RESP_ACCT_REMOTE \
         RESP_ACCT_LOCK_TIMED RESP_ACCT_UNLOCK_TIMED RESP_ACCT_LOCK RESP_TERM_LOCK RESP_SEBOOL \
         RESP_EXEC RESP_SINGLE RESP_HALT RESP_ORIGIN_BLOCK RESP_ORIGIN_BLOCK_TIMED",
    ),
    (
        2300,
        "USER_ROLE_CHANGE ROLE_ASSIGN ROLE_REMOVE LABEL_OVERRIDE LABEL_LEVEL_CHANGE \
         USER_LABELED_EXPORT USER_UNLABELED_EXPORT DEV_ALLOC DEV_DEALLOC FS_RELABEL \
         USER_MAC_POLICY_LOAD ROLE_MODIFY USER_MAC_CONFIG_CHANGE USER_MAC_STATUS",
    ),
    (
        2400,
        "CRYPTO_TEST_USER CRYPTO_PARAM_CHANGE_USER CRYPTO_LOGIN CRYPTO_LOGOUT CRYPTO_KEY_USER \
         CRYPTO_FAILURE_USER CRYPTO_REPLAY_USER CRYPTO_SESSION CRYPTO_IKE_SA CRYPTO_IPSEC_SA",
    ),
    (
        2500,
        "VIRT_CONTROL VIRT_RESOURCE VIRT_MACHINE_ID VIRT_INTEGRITY_CHECK VIRT_CREATE \
         VIRT_DESTROY VIRT_MIGRATE_IN VIRT_MIGRATE_OUT",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (name, number) in [
            ("SYSCALL", 1300),
            ("EXECVE", 1309),
            ("PROCTITLE", 1327),
            ("USER_CMD", 1123),
            ("SERVICE_STOP", 1131),
            ("AVC", 1400),
            ("ANOM_ABEND", 1701),
            ("CRYPTO_KEY_USER", 2404),
            ("LOGIN", 1006),
            ("TIME_ADJNTPVAL", 1333),
        ] {
            assert_eq!(RecordType::of(name.as_bytes()), RecordType(number));
            assert_eq!(RecordType(number).name(), Some(name));
        }
        assert_eq!(RecordType::of(b"UNKNOWN[1329]").name(), Some("REPLACE"));
        assert_eq!(RecordType::of(b"1400"), RecordType::AVC);
        assert_eq!(RecordType::of(b"NO_SUCH"), RecordType(0));
        assert_eq!(RecordType(1308).name(), None);
        assert_eq!(RecordType(3).name(), None);
    }
}
