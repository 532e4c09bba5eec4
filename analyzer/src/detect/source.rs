//! Log sources of Sigma: which rules an event is held against.

use rsigma_parser::LogSource as Stated;

/// One row for each log source that evidence can carry: variant, product, category, service.
macro_rules! log_sources {
    ($($(#[$doc:meta])* $name:ident = $product:literal, $category:literal, $service:literal;)*) => {
        /// A log source in Sigma's sense: what the records of one kind are called in rules.
        ///
        /// An event may be of several: a process start on Linux is one of `process_creation` and
        /// one that a rule for `auditd` describes in other words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LogSource {
            $($(#[$doc])* $name,)*
        }

        impl LogSource {
            /// All log sources, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Product, category and service as rules write them; empty where there is none.
            #[must_use]
            pub const fn names(self) -> (&'static str, &'static str, &'static str) {
                match self {
                    $(Self::$name => ($product, $category, $service),)*
                }
            }
        }
    };
}

log_sources! {
    /// A program was started.
    LinuxProcessCreation = "linux", "process_creation", "";
    /// A process ended.
    LinuxProcessTermination = "linux", "process_termination", "";
    /// A process changed who it is.
    LinuxCredentialsChange = "linux", "credentials_change", "";
    /// A process opened or traced another.
    LinuxProcessAccess = "linux", "process_access", "";
    /// A file was created, written or linked.
    LinuxFileEvent = "linux", "file_event", "";
    /// A file was renamed.
    LinuxFileRename = "linux", "file_rename", "";
    /// A file was deleted.
    LinuxFileDelete = "linux", "file_delete", "";
    /// Mode, owner, times or other attributes of a file were changed.
    LinuxFileChange = "linux", "file_change", "";
    /// A watched file was read.
    LinuxFileAccess = "linux", "file_access", "";
    /// A file was mapped to be executed.
    LinuxImageLoad = "linux", "image_load", "";
    /// A file without a name was made in memory.
    LinuxMemoryFile = "linux", "memory_file", "";
    /// A connection was made or accepted.
    LinuxNetworkConnection = "linux", "network_connection", "";
    /// A socket began to listen.
    LinuxNetworkListen = "linux", "network_listen", "";
    /// A connection ended, with its byte counts.
    LinuxNetworkClose = "linux", "network_close", "";
    /// A name was resolved.
    LinuxDnsQuery = "linux", "dns_query", "";
    /// A kernel module was loaded.
    LinuxDriverLoad = "linux", "driver_load", "";
    /// A BPF program was loaded.
    LinuxBpfLoad = "linux", "bpf_load", "";
    /// A file system was mounted.
    LinuxMount = "linux", "mount", "";
    /// A process entered a namespace.
    LinuxNamespace = "linux", "namespace", "";
    /// Someone logged on or off, failed to, or took other rights.
    LinuxAuthentication = "linux", "authentication", "";
    /// A service, a scheduled task or the like was changed.
    LinuxConfiguration = "linux", "configuration", "";
    /// The recorder, a log or a clock: what the record says of itself.
    LinuxRecord = "linux", "record", "";
    /// What stood when recording began.
    LinuxState = "linux", "state", "";
    /// The words of the Linux audit system.
    LinuxAuditd = "linux", "", "auditd";
    /// Lines of a system log with no service of their own.
    LinuxSyslog = "linux", "", "syslog";
    /// Lines of `auth.log` or `secure`.
    LinuxAuth = "linux", "", "auth";
    /// Lines of the SSH server.
    LinuxSshd = "linux", "", "sshd";
    /// Lines of `sudo`.
    LinuxSudo = "linux", "", "sudo";
    /// Lines of `cron`.
    LinuxCron = "linux", "", "cron";
    /// Lines of the ClamAV scanner.
    LinuxClamav = "linux", "", "clamav";
    /// Lines of the `vsftpd` server.
    LinuxVsftpd = "linux", "", "vsftpd";
    /// Lines of Guacamole.
    LinuxGuacamole = "linux", "", "guacamole";

    /// Sysmon 1, Security 4688.
    WindowsProcessCreation = "windows", "process_creation", "";
    /// Sysmon 5, Security 4689.
    WindowsProcessTermination = "windows", "process_termination", "";
    /// Sysmon 10.
    WindowsProcessAccess = "windows", "process_access", "";
    /// Sysmon 8.
    WindowsCreateRemoteThread = "windows", "create_remote_thread", "";
    /// Sysmon 25.
    WindowsProcessTampering = "windows", "process_tampering", "";
    /// Sysmon 11.
    WindowsFileEvent = "windows", "file_event", "";
    /// Sysmon 23 and 26.
    WindowsFileDelete = "windows", "file_delete", "";
    /// Sysmon 26.
    WindowsFileDeleteDetected = "windows", "file_delete_detected", "";
    /// Sysmon 2.
    WindowsFileChange = "windows", "file_change", "";
    /// Renamed files.
    WindowsFileRename = "windows", "file_rename", "";
    /// Reads of files.
    WindowsFileAccess = "windows", "file_access", "";
    /// Sysmon 29.
    WindowsFileExecutableDetected = "windows", "file_executable_detected", "";
    /// Sysmon 24.
    WindowsClipboardCapture = "windows", "clipboard_capture", "";
    /// Sysmon 27.
    WindowsFileBlockExecutable = "windows", "file_block_executable", "";
    /// Sysmon 28.
    WindowsFileBlockShredding = "windows", "file_block_shredding", "";
    /// Sysmon 15.
    WindowsCreateStreamHash = "windows", "create_stream_hash", "";
    /// Sysmon 3.
    WindowsNetworkConnection = "windows", "network_connection", "";
    /// Sysmon 22.
    WindowsDnsQuery = "windows", "dns_query", "";
    /// Sysmon 7.
    WindowsImageLoad = "windows", "image_load", "";
    /// Sysmon 6.
    WindowsDriverLoad = "windows", "driver_load", "";
    /// Sysmon 9.
    WindowsRawAccessThread = "windows", "raw_access_thread", "";
    /// Sysmon 12, keys and values made.
    WindowsRegistryAdd = "windows", "registry_add", "";
    /// Sysmon 12, keys and values removed.
    WindowsRegistryDelete = "windows", "registry_delete", "";
    /// Sysmon 13, Security 4657.
    WindowsRegistrySet = "windows", "registry_set", "";
    /// Sysmon 14.
    WindowsRegistryRename = "windows", "registry_rename", "";
    /// Sysmon 12 to 14 together.
    WindowsRegistryEvent = "windows", "registry_event", "";
    /// Sysmon 17 and 18.
    WindowsPipeCreated = "windows", "pipe_created", "";
    /// Sysmon 19 to 21.
    WindowsWmiEvent = "windows", "wmi_event", "";
    /// Sysmon 4 and 16.
    WindowsSysmonStatus = "windows", "sysmon_status", "";
    /// Sysmon 255.
    WindowsSysmonError = "windows", "sysmon_error", "";
    /// PowerShell 4104.
    WindowsPsScript = "windows", "ps_script", "";
    /// PowerShell 4103.
    WindowsPsModule = "windows", "ps_module", "";
    /// Windows PowerShell 400.
    WindowsPsClassicStart = "windows", "ps_classic_start", "";
    /// Windows PowerShell 600.
    WindowsPsClassicProviderStart = "windows", "ps_classic_provider_start", "";
    /// Windows PowerShell 800.
    WindowsPsClassicScript = "windows", "ps_classic_script", "";
    /// Channel Microsoft-Windows-Sysmon/Operational.
    WindowsSysmon = "windows", "", "sysmon";
    /// Channel Security.
    WindowsSecurity = "windows", "", "security";
    /// Channel System.
    WindowsSystem = "windows", "", "system";
    /// Channel Application.
    WindowsApplication = "windows", "", "application";
    /// Channel Microsoft-Windows-PowerShell/Operational.
    WindowsPowershell = "windows", "", "powershell";
    /// Channel Windows PowerShell.
    WindowsPowershellClassic = "windows", "", "powershell-classic";
    /// Channel Microsoft-Windows-TaskScheduler/Operational.
    WindowsTaskScheduler = "windows", "", "taskscheduler";
    /// Channel Microsoft-Windows-WMI-Activity/Operational.
    WindowsWmi = "windows", "", "wmi";
    /// Channel Microsoft-Windows-Windows Defender/Operational.
    WindowsDefender = "windows", "", "windefend";
    /// Channel Microsoft-Windows-Windows Firewall With Advanced Security/Firewall.
    WindowsFirewall = "windows", "", "firewall-as";
    /// Channel Microsoft-Windows-Bits-Client/Operational.
    WindowsBitsClient = "windows", "", "bits-client";
    /// Channel Microsoft-Windows-DNS-Client/Operational.
    WindowsDnsClient = "windows", "", "dns-client";
    /// Channels DNS Server and its analytic ones.
    WindowsDnsServer = "windows", "", "dns-server";
    /// Channel Microsoft-Windows-DNS-Server/Analytical.
    WindowsDnsServerAnalytic = "windows", "", "dns-server-analytic";
    /// Channel Microsoft-Windows-NTLM/Operational.
    WindowsNtlm = "windows", "", "ntlm";
    /// Channels of AppLocker.
    WindowsAppLocker = "windows", "", "applocker";
    /// Channel Microsoft-Windows-AppModel-Runtime/Admin.
    WindowsAppModelRuntime = "windows", "", "appmodel-runtime";
    /// Channel Microsoft-Windows-AppXDeploymentServer/Operational.
    WindowsAppxDeploymentServer = "windows", "", "appxdeployment-server";
    /// Channel Microsoft-Windows-AppxPackaging/Operational.
    WindowsAppxPackagingOm = "windows", "", "appxpackaging-om";
    /// Channel Microsoft-Windows-CAPI2/Operational.
    WindowsCapi2 = "windows", "", "capi2";
    /// Channel Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational.
    WindowsCertificateLifecycle = "windows", "", "certificateservicesclient-lifecycle-system";
    /// Channel Microsoft-Windows-CodeIntegrity/Operational.
    WindowsCodeIntegrity = "windows", "", "codeintegrity-operational";
    /// Channel Microsoft-Windows-Diagnosis-Scripted/Operational.
    WindowsDiagnosisScripted = "windows", "", "diagnosis-scripted";
    /// Channel Microsoft-Windows-DriverFrameworks-UserMode/Operational.
    WindowsDriverFramework = "windows", "", "driver-framework";
    /// Channel Microsoft-IIS-Configuration/Operational.
    WindowsIisConfiguration = "windows", "", "iis-configuration";
    /// Channel Microsoft-Windows-LDAP-Client/Debug.
    WindowsLdap = "windows", "", "ldap";
    /// Channel Microsoft-Windows-LSA/Operational.
    WindowsLsaServer = "windows", "", "lsa-server";
    /// Channel Microsoft-ServiceBus-Client.
    WindowsServiceBusClient = "windows", "", "microsoft-servicebus-client";
    /// Channel MSExchange Management.
    WindowsExchangeManagement = "windows", "", "msexchange-management";
    /// Channel OpenSSH/Operational.
    WindowsOpenSsh = "windows", "", "openssh";
    /// Channel Microsoft-Windows-PrintService/Admin.
    WindowsPrintServiceAdmin = "windows", "", "printservice-admin";
    /// Channel Microsoft-Windows-PrintService/Operational.
    WindowsPrintServiceOperational = "windows", "", "printservice-operational";
    /// Channels of the security mitigations.
    WindowsSecurityMitigations = "windows", "", "security-mitigations";
    /// Channel Microsoft-Windows-Shell-Core/Operational.
    WindowsShellCore = "windows", "", "shell-core";
    /// Channel Microsoft-Windows-SmbClient/Connectivity.
    WindowsSmbClientConnectivity = "windows", "", "smbclient-connectivity";
    /// Channel Microsoft-Windows-SmbClient/Security.
    WindowsSmbClientSecurity = "windows", "", "smbclient-security";
    /// Channel Microsoft-Windows-SMBServer/Connectivity.
    WindowsSmbServerConnectivity = "windows", "", "smbserver-connectivity";
    /// Channel Microsoft-Windows-TerminalServices-LocalSessionManager/Operational.
    WindowsTerminalServices = "windows", "", "terminalservices-localsessionmanager";
    /// Channel Microsoft-Windows-DNS-Server/Audit.
    WindowsDnsServerAudit = "windows", "", "dns-server-audit";
    /// Channel Microsoft-Windows-DHCP-Server/Operational.
    WindowsDhcp = "windows", "", "dhcp";
    /// Channels of Microsoft-Windows-Application-Experience.
    WindowsApplicationExperience = "windows", "", "application-experience";
    /// Channel Microsoft-Windows-BitLocker/BitLocker Management.
    WindowsBitLocker = "windows", "", "bitlocker";
    /// Channels of Microsoft-Windows-Hyper-V-Worker.
    WindowsHyperVWorker = "windows", "", "hyper-v-worker";
    /// Channels of Microsoft-Windows-Kernel-EventTracing.
    WindowsKernelEventTracing = "windows", "", "kernel-event-tracing";
    /// Channels of Microsoft-Windows-Kernel-ShimEngine.
    WindowsKernelShimEngine = "windows", "", "kernel-shimengine";
    /// Channel Microsoft-Windows-Ntfs/Operational.
    WindowsNtfs = "windows", "", "ntfs";
    /// Channel Microsoft-Windows-SENSE/Operational.
    WindowsSense = "windows", "", "sense";
    /// Channel Microsoft-Windows-VHDMP/Operational.
    WindowsVhdmp = "windows", "", "vhdmp";
    /// Any other Windows channel.
    WindowsOther = "windows", "", "";
}

impl LogSource {
    /// Place in [`LogSource::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The source of Windows records of a service, by the service's name in rules.
    #[must_use]
    pub fn windows_service(service: &str) -> Self {
        let fits = |source: &Self| source.names() == ("windows", "", service);
        Self::ALL
            .iter()
            .copied()
            .find(fits)
            .unwrap_or(Self::WindowsOther)
    }

    /// Whether a rule with this stated log source speaks of records of this one: all that it
    /// states must be said of them.
    pub(super) fn serves(self, stated: &Stated) -> bool {
        let (product, category, service) = self.names();
        let agrees = |stated: &Option<String>, own: &str| match stated {
            Some(name) => present_name(name).eq_ignore_ascii_case(own),
            None => true,
        };
        agrees(&stated.product, product)
            && agrees(&stated.category, category)
            && agrees(&stated.service, service)
    }
}

/// The name that we use for a service that has had two in the taxonomy.
fn present_name(name: &str) -> &str {
    match name {
        "servicebus-client" => "microsoft-servicebus-client",
        "ldap_debug" => "ldap",
        _ => name,
    }
}

/// The stated log source in one line, as reports show it: `linux / process_creation`.
pub(super) fn describe(stated: &Stated) -> String {
    let parts: Vec<&str> = [&stated.product, &stated.category, &stated.service]
        .into_iter()
        .filter_map(|part| part.as_deref())
        .collect();
    parts.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(product: &str, category: &str, service: &str) -> Stated {
        let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Stated {
            product: some(product),
            category: some(category),
            service: some(service),
            ..Stated::default()
        }
    }

    #[test]
    fn a_rule_is_for_all_that_it_states() {
        let start = LogSource::LinuxProcessCreation;
        assert!(start.serves(&stated("linux", "process_creation", "")));
        assert!(start.serves(&stated("Linux", "", "")));
        assert!(start.serves(&stated("", "process_creation", "")));
        assert!(!start.serves(&stated("windows", "process_creation", "")));
        assert!(!start.serves(&stated("linux", "", "auditd")));
        assert!(!start.serves(&stated("linux", "process_creation", "auditd")));
        assert!(LogSource::LinuxAuditd.serves(&stated("linux", "", "auditd")));
        assert!(LogSource::WindowsLdap.serves(&stated("windows", "", "ldap_debug")));
    }

    #[test]
    fn no_two_rows_are_the_same() {
        let mut names: Vec<_> = LogSource::ALL.iter().map(|source| source.names()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LogSource::ALL.len());
        for (index, source) in LogSource::ALL.iter().enumerate() {
            assert_eq!(source.index(), index);
        }
    }

    #[test]
    fn an_unknown_channel_is_still_windows() {
        assert_eq!(
            LogSource::windows_service("taskscheduler"),
            LogSource::WindowsTaskScheduler
        );
        assert_eq!(
            LogSource::windows_service("no-such"),
            LogSource::WindowsOther
        );
    }
}
