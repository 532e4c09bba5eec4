//! What is changed: lines of every format that is read, and pieces of recorded evidence where it is at
//! hand.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;

use crate::packed;

/// Lines as they stand in logs of each kind.
const LINES: &[&str] = &[
    "type=SYSCALL msg=audit(1700000000.100:7): arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=2 ppid=10 pid=11 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"sh\" exe=\"/usr/bin/dash\" key=\"exec\"\x1dARCH=x86_64 SYSCALL=execve AUID=\"eve\"\ntype=EXECVE msg=audit(1700000000.100:7): argc=3 a0=\"sh\" a1=\"-c\" a2=6C732061\ntype=CWD msg=audit(1700000000.100:7): cwd=\"/root\"\ntype=PATH msg=audit(1700000000.100:7): item=0 name=\"/bin/sh\" inode=1 dev=fd:00 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL\ntype=PROCTITLE msg=audit(1700000000.100:7): proctitle=7368002D63006C732061\ntype=EOE msg=audit(1700000000.100:7):\n",
    "node=web-1 type=SYSCALL msg=audit(1700000001.5:8): arch=c000003e syscall=42 success=no exit=-115 items=0 ppid=10 pid=12 comm=\"nc\" exe=\"/usr/bin/nc\"\nnode=web-1 type=SOCKADDR msg=audit(1700000001.5:8): saddr=0200115CC0A80001000000000000000000\ntype=USER_LOGIN msg=audit(1700000002.001:9): pid=20 uid=0 auid=1000 ses=4 msg='op=login id=1000 exe=\"/usr/sbin/sshd\" hostname=192.0.2.7 addr=192.0.2.7 terminal=ssh res=success'\ntype=AVC msg=audit(1700000002.002:10): avc:  denied  { read } for  pid=21 comm=\"cat\" name=\"shadow\"\n",
    "type=AUOMS_EXECVE audit(1700000000.100:7): success=yes ppid=1 pid=2 exe=\"/bin/sh\" cmdline=\"sh -c id\" cwd=\"/\" name=\"/bin/sh\"\n",
    "Nov 14 22:13:20 web-1 sshd[12]: Accepted publickey for eve from 192.0.2.7 port 5022 ssh2\n<34>1 2023-11-14T22:13:21.003Z web-1 sudo 77 - - eve : TTY=pts/0 ; PWD=/home/eve ; USER=root ; COMMAND=/bin/bash\nNov 14 22:13:22 web-1 kernel: [ 12.3] audit: type=1400 audit(1700000000.123:45): apparmor=\"DENIED\" operation=\"open\"\n",
    "Nov 14 22:13:20 web-1 sysmon: <Event><System><Provider Name=\"Linux-Sysmon\" Guid=\"{ff032593-a8d3-4f13-b0d6-01fc615a0f97}\"/><EventID>1</EventID><TimeCreated SystemTime=\"2023-11-14T22:13:20.000000000Z\"/><EventRecordID>7</EventRecordID><Execution ProcessID=\"9\" ThreadID=\"9\"/><Channel>Linux-Sysmon/Operational</Channel><Computer>web-1</Computer></System><EventData><Data Name=\"UtcTime\">2023-11-14 22:13:20.001</Data><Data Name=\"ProcessGuid\">{ff032593-a8d3-4f13-b0d6-01fc615a0f97}</Data><Data Name=\"ProcessId\">77</Data><Data Name=\"Image\">/bin/sh</Data><Data Name=\"CommandLine\">sh -c &quot;id&quot;</Data></EventData></Event>\n",
    "{\"Event\":{\"System\":{\"Provider\":{\"#attributes\":{\"Name\":\"Microsoft-Windows-Security-Auditing\"}},\"EventID\":4688,\"Computer\":\"dc.example.test\",\"EventRecordID\":9,\"TimeCreated\":{\"#attributes\":{\"SystemTime\":\"2023-11-14T22:13:20.123Z\"}}},\"EventData\":{\"NewProcessId\":\"0x1a4\",\"NewProcessName\":\"C:\\\\Windows\\\\System32\\\\cmd.exe\",\"ProcessId\":\"0x10\",\"CommandLine\":\"cmd /c whoami\"}}}\n",
    "{\"@timestamp\":\"2023-11-14T22:13:20.123Z\",\"host\":{\"name\":\"ws-1\"},\"event\":{\"code\":\"1\"},\"winlog\":{\"channel\":\"Microsoft-Windows-Sysmon/Operational\",\"event_id\":1,\"record_id\":5,\"event_data\":{\"ProcessId\":\"12\",\"Image\":\"C:\\\\a.exe\",\"CommandLine\":\"a\"}}}\n{\"EventID\":3,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Hostname\":\"ws-1\",\"UtcTime\":\"2023-11-14 22:13:21.000\",\"ProcessId\":\"12\",\"DestinationIp\":\"192.0.2.9\",\"DestinationPort\":\"443\"}\n",
    "[{\"data\":{\"info\":{\"event\":{\"id\":1,\"name\":\"execve\"},\"utc_time\":\"2023-11-14T22:13:20.1Z\",\"host\":{\"name\":\"h\"}},\"exe\":{\"path\":\"/bin/sh\"},\"command_line\":\"sh\"}},\n {\"process_exec\":{\"process\":{\"pid\":7,\"binary\":\"/bin/sh\",\"arguments\":\"-c id\",\"start_time\":\"2023-11-14T22:13:20Z\"}},\"node_name\":\"n\",\"time\":\"2023-11-14T22:13:20Z\"},\n {\"output_fields\":{\"proc.cmdline\":\"sh\",\"proc.pid\":9,\"evt.time\":1700000000000000000},\"rule\":\"Shell\",\"time\":\"2023-11-14T22:13:20Z\",\"hostname\":\"h\"}]\n",
];

/// The most bytes of a piece of text.
const TEXT_BYTES: usize = 6 << 10;

/// Bytes of an event log's header, of a chunk, and of the short form of one.
const EVTX_HEADER: usize = 4 << 10;
const EVTX_CHUNK: usize = 64 << 10;
const EVTX_SHORT: usize = 7 << 10;

/// Containers longer than this are unpacked and not changed themselves.
const PACKED_BYTES: usize = 24 << 10;

/// All seeds, in a fixed order.
pub fn all(house: &Path) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = LINES.iter().map(|text| text.as_bytes().to_vec()).collect();
    let whole = LINES.concat();
    seeds.extend(packed::every_way(whole.as_bytes()));
    for path in crate::files_below(&house.join("fixtures/foreign")) {
        pieces(fs::read(path).unwrap(), 0, &mut seeds);
    }
    let own = seeds.len();
    for folder in ["evtx", "linux", "windows-json"] {
        for path in crate::files_below(&house.join("../shared/data").join(folder)) {
            pieces(fs::read(path).unwrap(), 0, &mut seeds);
        }
    }
    if own == seeds.len() {
        println!("without recorded evidence: there is none beside the project");
    }
    seeds
}

/// Cuts a file into seeds; what is in a container is unpacked first.
fn pieces(bytes: Vec<u8>, depth: usize, seeds: &mut Vec<Vec<u8>>) {
    if depth > 3 {
        return;
    }
    let unpacked = unpacked(&bytes);
    if !unpacked.is_empty() {
        for inner in unpacked {
            pieces(inner, depth + 1, seeds);
        }
        if bytes.len() <= PACKED_BYTES {
            seeds.push(bytes);
        }
    } else if bytes.starts_with(b"ElfFile\0") {
        log_pieces(&bytes, seeds);
    } else if bytes.len() <= TEXT_BYTES {
        seeds.push(bytes);
    } else {
        for part in 0..3 {
            let start = (bytes.len() - TEXT_BYTES) / 2 * part;
            seeds.push(bytes.get(start..start + TEXT_BYTES).unwrap().to_vec());
        }
    }
}

/// The header of a log with its first chunk, whole in one of eight, and with the beginning of another.
fn log_pieces(bytes: &[u8], seeds: &mut Vec<Vec<u8>>) {
    let header = bytes.get(..EVTX_HEADER).unwrap_or(bytes);
    let chunks = bytes.get(EVTX_HEADER..).unwrap_or_default();
    let count = chunks.len() / EVTX_CHUNK;
    let whole = if seeds.len().is_multiple_of(8) {
        EVTX_CHUNK
    } else {
        EVTX_SHORT
    };
    for (number, len) in [(0, whole), (count / 2, EVTX_SHORT)] {
        let start = number * EVTX_CHUNK;
        if let Some(chunk) = chunks.get(start..(start + len).min(chunks.len())) {
            seeds.push([header, chunk].concat());
        }
    }
}

/// The files in a container; none where it is none.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut whole = |reader: &mut dyn Read| {
        let mut inner = Vec::new();
        if reader.read_to_end(&mut inner).is_ok() {
            out.push(inner);
        }
    };
    if bytes.starts_with(b"\xfd7zXZ\0") {
        whole(&mut lzma_rust2::XzReader::new(bytes, true));
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        whole(&mut flate2::read::MultiGzDecoder::new(bytes));
    } else if bytes.starts_with(b"PK\x03\x04") {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        for number in 0..archive.len() {
            whole(&mut archive.by_index(number).unwrap());
        }
    } else if bytes.get(257..262) == Some(b"ustar") {
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().unwrap() {
            whole(&mut entry.unwrap());
        }
    }
    out
}
