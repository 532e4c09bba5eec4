//! sock_diag on this kernel: what is open is listed, what ends is told with its bytes.
//!
//! Needs root; runs only when `SAIGEN_LIVE` is set.

#![expect(
    clippy::disallowed_methods,
    reason = "the test itself needs a connection to watch"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use saigen_collector::source::sock_diag::{self, Protocol, SockDiag, SocketRecord, State};
use saigen_collector::source::{Batch, Source, datagrams};

fn live() -> bool {
    let live = std::env::var_os("SAIGEN_LIVE").is_some() && rustix::process::geteuid().is_root();
    if !live {
        eprintln!("skipped: needs root and SAIGEN_LIVE=1");
    }
    live
}

#[test]
fn an_open_socket_is_listed_with_its_inode() {
    if !live() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let all = sock_diag::dump(None).unwrap();
    let tcp = listener.local_addr().unwrap();
    let listed = all
        .iter()
        .find(|socket| socket.local == (tcp.ip(), tcp.port()))
        .unwrap();
    assert_eq!(
        (listed.protocol, listed.state),
        (Some(Protocol::Tcp), State::LISTENING)
    );
    let link = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&listener)
    );
    let link = std::fs::read_link(link).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("socket:[{}]", listed.inode));
    let bound = udp.local_addr().unwrap();
    assert!(all.iter().any(|socket| {
        socket.protocol == Some(Protocol::Udp) && socket.local == (bound.ip(), bound.port())
    }));
}

#[test]
fn the_end_of_a_connection_is_told_with_its_bytes() {
    if !live() {
        return;
    }
    let mut source = SockDiag::open(None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let local = client.local_addr().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[7; 1000]).unwrap();
    server.read_exact(&mut [0; 1000]).unwrap();
    server.write_all(&[7; 300]).unwrap();
    client.read_exact(&mut [0; 300]).unwrap();
    // The server closes first, so that its end, and not the client's, waits out the connection.
    drop(server);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    drop(client);
    let until = Instant::now() + Duration::from_secs(5);
    let mut told: Option<SocketRecord> = None;
    while told.is_none() && Instant::now() < until {
        let mut batch = Batch::new();
        source.drain(&mut batch).unwrap();
        told = datagrams(&batch.bytes)
            .flat_map(sock_diag::closed)
            .find(|socket| socket.local == (local.ip(), local.port()));
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = told.unwrap();
    assert_eq!(told.protocol, Some(Protocol::Tcp));
    assert_eq!(told.remote, (address.ip(), address.port()));
    // The kernel counts the peer's end mark as a byte received.
    assert_eq!(told.bytes, Some((1000, 301)));
}

#[test]
fn another_network_is_listed_apart() {
    if !live() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::new("unshare")
        .args(["-n", "sleep", "30"])
        .spawn()
        .unwrap();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    while std::fs::read_link(format!("/proc/{}/ns/net", child.id())).unwrap() == own {
        std::thread::sleep(Duration::from_millis(5));
    }
    let there = sock_diag::dump(Some(child.id()));
    let opened = SockDiag::open(Some(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(there.unwrap().iter().all(|socket| socket.local.1 != port));
    assert!(opened.is_ok());
}
