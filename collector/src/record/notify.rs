//! Words for the service manager: that recording has begun, that it goes on, that it ends.
//!
//! A watchdog of systemd waits for a word in each of its spans (`sd_notify(3)`, `WatchdogSec=` in
//! `systemd.service(5)`). It comes from the thread that writes, and only after a whole round over all
//! sources: a source that hangs, a disk that does not answer and a recorder that was stopped are all
//! silence, and are ended and started again. The journal then has no close, which is never called intact.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    /// Between two words that recording goes on: half of what the manager waits.
    every: Option<Duration>,
    said: Instant,
}

impl Manager {
    /// The manager that started this process, by what it left in the environment. It must be asked
    /// before the recorder isolates itself: afterwards no socket of this kind is given.
    #[must_use]
    pub fn of_environment() -> Option<Manager> {
        let meant =
            std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let span = std::env::var("WATCHDOG_USEC").ok().filter(|_| meant);
        let span = span.and_then(|text| text.parse().ok());
        Manager::at(
            &std::env::var_os("NOTIFY_SOCKET")?,
            span.map(Duration::from_micros),
        )
        .ok()
    }

    /// The manager that listens at `address`, a path or `@` and an abstract name, and waits for
    /// `span` between two words.
    ///
    /// # Errors
    /// Nobody listens there, or it is no address.
    pub fn at(address: &OsStr, span: Option<Duration>) -> io::Result<Manager> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A manager that does not read is no reason to wait.
        socket.set_nonblocking(true)?;
        Ok(Manager {
            socket,
            every: span.map(|span| span / 2),
            said: Instant::now(),
        })
    }

    /// Recording has begun.
    pub fn ready(&mut self) {
        self.say("READY=1");
    }

    /// A whole round was taken and written: says so, if it is time.
    pub fn alive(&mut self) {
        if self.every.is_some_and(|every| self.said.elapsed() >= every) {
            self.said = Instant::now();
            self.say("WATCHDOG=1");
        }
    }

    /// The journal is about to be closed.
    pub fn ending(&mut self) {
        self.say("STOPPING=1");
    }

    fn say(&self, word: &str) {
        // Who does not listen will end us; nothing more can be done about it here.
        let _ = rustix::io::write(&self.socket, word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut all = Vec::new();
        let mut word = [0; 64];
        while let Ok(length) = socket.recv(&mut word) {
            all.push(String::from_utf8_lossy(&word[..length]).into_owned());
        }
        all
    }

    #[test]
    fn the_manager_hears_of_the_beginning_of_going_on_and_of_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut manager = Manager::at(path.as_os_str(), Some(Duration::from_millis(20))).unwrap();
        manager.ready();
        manager.alive();
        assert_eq!(heard(&socket), ["READY=1"], "it is not time yet");
        std::thread::sleep(Duration::from_millis(12));
        manager.alive();
        manager.alive();
        manager.ending();
        assert_eq!(heard(&socket), ["WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn an_abstract_name_is_an_address_and_silence_is_none() {
        let name = format!("saigen-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let spelled = format!("@{name}");
        let mut manager = Manager::at(OsStr::new(&spelled), None).unwrap();
        manager.ready();
        manager.alive();
        assert_eq!(heard(&socket), ["READY=1"], "nobody waits for more");
        assert!(Manager::at(OsStr::new("/nowhere/at/all"), None).is_err());
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let mut manager = Manager::at(path.as_os_str(), Some(Duration::ZERO)).unwrap();
        let began = Instant::now();
        for _ in 0..5_000 {
            manager.alive();
        }
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
