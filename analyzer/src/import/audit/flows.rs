//! What system calls did over the network.

use saigen_schemas::event::{
    Kind, Marks, NetworkAccepted, NetworkConnected, NetworkListening, Outcome, ProcessKey,
    Protocol, Text,
};

use crate::import::ImportError;
use crate::import::audit::address::{self, Address};
use crate::import::audit::kinds::RecordType;
use crate::import::audit::map::Out;
use crate::import::audit::parsed::Parsed;
use crate::import::audit::subject::Call;

/// `EINPROGRESS`: a connect that does not wait was begun.
const IN_PROGRESS: i64 = -115;

/// Tells what a call did over the network; whether it was one that this module knows. Audit does not
/// say the transport of an address.
pub(super) fn tell(
    parsed: &Parsed,
    call: &Call<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let Some(deed) = deed(call) else {
        return Ok(false);
    };
    let Some(address) = parsed
        .find(RecordType::SOCKADDR)
        .or_else(|| parsed.find(RecordType::AUOMS))
        .and_then(|record| record.get(b"saddr"))
        .and_then(address::read)
    else {
        return Ok(false);
    };
    let Some(kind) = kind(deed, call, &address) else {
        return Ok(false);
    };
    out.tell(actor, kind, Marks(b""))?;
    Ok(true)
}

#[derive(Clone, Copy)]
enum Deed {
    Connect,
    Accept,
    Bind,
}

/// What a call does. `socketcall` of 32-bit programs says it in its first argument.
fn deed(call: &Call<'_>) -> Option<Deed> {
    match (call.name, call.args[0]) {
        (b"connect" | b"sendto" | b"sendmsg", _) | (b"socketcall", 3 | 11 | 16) => {
            Some(Deed::Connect)
        }
        (b"accept" | b"accept4", _) | (b"socketcall", 5 | 18) => Some(Deed::Accept),
        (b"bind", _) | (b"socketcall", 2) => Some(Deed::Bind),
        _ => None,
    }
}

fn kind<'a>(deed: Deed, call: &Call<'_>, address: &'a Address) -> Option<Kind<'a>> {
    let (protocol, ip, port, path) = match address {
        Address::Inet(ip, port) => (None, Some(*ip), Some(*port), None),
        Address::Unix(path) if !path.is_empty() => {
            (Some(Protocol::Unix), None, None, Some(Text(path)))
        }
        Address::Unix(_) | Address::Netlink | Address::Other(_) => return None,
    };
    match deed {
        Deed::Connect => Some(Kind::NetworkConnected(NetworkConnected {
            protocol,
            remote_ip: ip,
            remote_port: port,
            path,
            outcome: Some(match (call.success, call.exit) {
                (Some(false), Some(IN_PROGRESS)) => Outcome::InProgress,
                (Some(false), _) => Outcome::Failure,
                (Some(true) | None, _) => Outcome::Success,
            }),
            ..NetworkConnected::default()
        })),
        Deed::Accept if call.is_done() => Some(Kind::NetworkAccepted(NetworkAccepted {
            protocol,
            remote_ip: ip,
            remote_port: port,
            path,
            ..NetworkAccepted::default()
        })),
        // Port 0 lets the kernel choose: the sender's own end, nothing that waits.
        Deed::Bind if call.is_done() && port != Some(0) => {
            Some(Kind::NetworkListening(NetworkListening {
                protocol,
                local_ip: ip,
                local_port: port,
                path,
            }))
        }
        Deed::Accept | Deed::Bind => None,
    }
}
