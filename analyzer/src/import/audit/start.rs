//! Program starts: image, arguments, script.

use saigen_schemas::event::{Args, Had, Kind, KindName, Marks, Near, ProcessStart, Text};

use crate::import::ImportError;
use crate::import::audit::kinds::RecordType;
use crate::import::audit::map::{Out, key, mark};
use crate::import::audit::parsed::{Parsed, Record, decimal};
use crate::import::audit::paths::{self, Item};
use crate::import::audit::subject::Call;

/// Bytes of a command line that the kernel keeps in `PROCTITLE` (`MAX_PROCTITLE_AUDIT_LEN`).
const TITLE_BYTES_MAX: usize = 128;

/// Most arguments that are put together: the kernel takes no more (`MAX_ARG_STRINGS` apart).
const ARGS_MAX: usize = 1 << 20;

/// Tells a program's start.
pub(super) fn tell(
    parsed: &Parsed,
    record: Record<'_>,
    call: &Call<'_>,
    args: &mut Vec<u8>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    args.clear();
    let had = arguments(parsed, record, args);
    let subject = &call.subject;
    let items = paths::items(parsed);
    let image = subject.image();
    let script = script(&items, image, subject.comm, args);
    let file = match script {
        // The second file is the interpreter, or the script once more (Linux 5.8 and later).
        Some(_) => items
            .iter()
            .find(|item| Some(item.path.as_slice()) != script),
        None => items.first(),
    };
    let start = ProcessStart {
        parent: key(subject.ppid),
        image: image.map(Text),
        args: had.is_some().then_some(Args(args)),
        command_line: record.known(b"cmdline").filter(|_| had.is_none()).map(Text),
        cwd: paths::cwd(parsed).map(Text),
        uid: subject.uid,
        gid: subject.gid,
        euid: subject.euid,
        egid: subject.egid,
        login_uid: subject.auid,
        session: subject.session,
        tty: subject.tty.map(Text),
        account: subject.account.map(Text),
        container: record.known(b"containerid").map(Text),
        script: script.map(Text),
        dev: file.and_then(|file| file.dev),
        inode: file.and_then(|file| file.inode).map(Near),
        ..ProcessStart::default()
    };
    let mark = had
        .filter(|&had| had != Had::Kernel)
        .and_then(|had| mark(KindName::ProcessStart, "args", had));
    let marks = mark.as_ref().map_or(&b""[..], |mark| mark);
    out.tell(key(subject.pid), Kind::ProcessStart(start), Marks(marks))
}

/// Puts the arguments together, each ended by NUL, and says how they were had; `None` where no
/// record has them.
fn arguments(parsed: &Parsed, record: Record<'_>, out: &mut Vec<u8>) -> Option<Had> {
    if let Some(whole) = from_execve(parsed, out) {
        return Some(if whole { Had::Kernel } else { Had::Truncated });
    }
    if let Some(line) = record.known(b"cmdline") {
        unquote(line, out);
        let count = record.get(b"argc").and_then(decimal);
        let got = Args(out).iter().count() as u64;
        if count == Some(got) {
            return Some(Had::Reconstructed);
        }
        out.clear();
        return None;
    }
    let title = title(parsed)?;
    out.extend_from_slice(title);
    if !title.ends_with(b"\0") {
        out.push(0);
    }
    Some(if is_cut_title(title) {
        Had::Truncated
    } else {
        Had::Reconstructed
    })
}

/// The arguments in `EXECVE` records: `a0`, `a1`, …; a long one in pieces, `a2[0]`, `a2[1]`, …, over
/// several records. Whether all are there.
fn from_execve(parsed: &Parsed, out: &mut Vec<u8>) -> Option<bool> {
    let first = parsed.find(RecordType::EXECVE)?;
    let count: Option<usize> = first.number(b"argc");
    let mut pieces: Vec<(usize, usize, &[u8])> = Vec::new();
    for record in parsed.all(RecordType::EXECVE) {
        let named = record.pairs().filter_map(|(name, value)| {
            let (argument, piece) = place(name)?;
            Some((argument, piece, value))
        });
        pieces.extend(named.take(ARGS_MAX));
    }
    // Records may stand in another order; the places decide.
    pieces.sort_by_key(|&(argument, piece, _)| (argument, piece));
    pieces.dedup_by_key(|&mut (argument, piece, _)| (argument, piece));
    let mut whole = true;
    let (mut next, mut next_piece) = (0, 0);
    for (argument, piece, value) in pieces {
        if piece == 0 {
            if next > 0 {
                out.push(0);
            }
            whole &= argument == next;
            next = argument + 1;
            next_piece = 0;
        } else {
            whole &= argument + 1 == next && piece == next_piece;
        }
        next_piece += 1;
        out.extend_from_slice(value);
    }
    if next > 0 {
        out.push(0);
    }
    Some(whole && count.is_none_or(|count| count == next))
}

/// `a12` is argument 12; `a12[3]` its fourth piece.
fn place(name: &[u8]) -> Option<(usize, usize)> {
    let digits = name.strip_prefix(b"a")?;
    let number = |digits: &[u8]| usize::try_from(decimal(digits)?).ok();
    match digits.iter().position(|&byte| byte == b'[') {
        Some(open) => {
            let piece = digits.get(open + 1..)?.strip_suffix(b"]")?;
            Some((number(digits.get(..open)?)?, number(piece)?))
        }
        None => Some((number(digits)?, 0)),
    }
}

/// The title of the process: its command line as it stood in its memory then.
pub(super) fn title(parsed: &Parsed) -> Option<&[u8]> {
    let record = parsed.find(RecordType::PROCTITLE)?;
    record.known(b"proctitle")
}

/// Whether a title is as long as the kernel keeps of it.
pub(super) fn is_cut_title(title: &[u8]) -> bool {
    title.len() >= TITLE_BYTES_MAX - 1
}

/// The script that was executed, where an interpreter runs it: the file that was named first, by
/// whose name the process is called, and which is an argument of the interpreter.
fn script<'i>(
    items: &'i [Item],
    image: Option<&[u8]>,
    comm: Option<&[u8]>,
    args: &[u8],
) -> Option<&'i [u8]> {
    /// Bytes of a process's name (`TASK_COMM_LEN` without its NUL).
    const COMM_BYTES: usize = 15;
    let path = items.first()?.path.as_slice();
    let name = base(path);
    let short = name.get(..name.len().min(COMM_BYTES))?;
    let is_other = base(image?) != name && base(Args(args).iter().next()?.0) != name;
    let is_argument = Args(args)
        .iter()
        .skip(1)
        .take(2)
        .any(|arg| base(arg.0) == name);
    (comm == Some(short) && is_other && is_argument).then_some(path)
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Takes a command line apart as auoms puts it together: arguments with odd characters in double
/// quotes, with a backslash before what a shell would take for its own.
fn unquote(line: &[u8], out: &mut Vec<u8>) {
    let mut bytes = line.iter().copied();
    let (mut quoted, mut begun) = (false, false);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                begun = true;
            }
            b'\\' => {
                if let Some(byte) = bytes.next() {
                    out.push(byte);
                    begun = true;
                }
            }
            b' ' if !quoted => {
                if begun {
                    out.push(0);
                }
                begun = false;
            }
            _ => {
                out.push(byte);
                begun = true;
            }
        }
    }
    if begun {
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarders_command_line_is_taken_apart() {
        let cases: [(&[u8], &[u8]); 5] = [
            (b"ls -l", b"ls\0-l\0"),
            (b"sh -c \"a b\" \"\"", b"sh\0-c\0a b\0\0"),
            (b"sh -c \"say \\\"x\\\" \\$y\"", b"sh\0-c\0say \"x\" $y\0"),
            (b"  a  b ", b"a\0b\0"),
            (b"", b""),
        ];
        for (line, expected) in cases {
            let mut out = Vec::new();
            unquote(line, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn places_of_arguments() {
        assert_eq!(place(b"a0"), Some((0, 0)));
        assert_eq!(place(b"a12[3]"), Some((12, 3)));
        for name in [
            &b"argc"[..],
            b"a",
            b"a1_len",
            b"a1[",
            b"a1[x]",
            b"a99999999999999999999",
        ] {
            assert_eq!(place(name), None);
        }
    }
}
