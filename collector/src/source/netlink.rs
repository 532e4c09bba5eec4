//! Netlink sockets: opened, filled with one message at a time, drained by datagram.

use super::native::{push_u16, push_u32, u16_at, u32_at};
use super::{Batch, Drained, SourceError};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of `nlmsghdr`.
pub const HEADER_BYTES: usize = 16;

/// The most bytes of one datagram that are taken. Audit's longest has 8,970.
pub const DATAGRAM_BYTES_MAX: usize = 16 * 1024;

/// `NLM_F_REQUEST`: what we send is a request.
pub const REQUEST: u16 = 1;

/// `NLM_F_ACK`: the kernel answers whether it worked.
pub const ACK: u16 = 4;

/// `NLMSG_ERROR`: an answer, 0 or a negative error number.
pub const ERROR: u16 = 2;

/// `NLMSG_DONE`: the end of a list.
pub const DONE: u16 = 3;

/// An open netlink socket that never waits.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
}

impl Netlink {
    /// Opens a socket and joins the groups of the mask (bit 0 is group 1). The kernel asks for
    /// privilege where a group needs it.
    ///
    /// # Errors
    /// The protocol is not there, or the kernel refuses the groups.
    pub fn open(
        protocol: Protocol,
        groups: u32,
        receive_bytes: usize,
    ) -> Result<Netlink, SourceError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            Some(protocol),
        )
        .map_err(|error| SourceError::new("open a netlink socket", error))?;
        // The forced size needs CAP_NET_ADMIN; without it the system's limit holds.
        if sockopt::set_socket_recv_buffer_size_force(&fd, receive_bytes).is_err() {
            sockopt::set_socket_recv_buffer_size(&fd, receive_bytes)
                .map_err(|error| SourceError::new("size a netlink socket's buffer", error))?;
        }
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))
            .map_err(|error| SourceError::new("bind a netlink socket", error))?;
        Ok(Netlink { fd })
    }

    /// The socket.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends one message to the kernel.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn send(
        &self,
        kind: u16,
        flags: u16,
        sequence: u32,
        payload: &[u8],
    ) -> Result<(), SourceError> {
        let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
        push_u32(
            &mut message,
            u32::try_from(HEADER_BYTES + payload.len()).unwrap_or(u32::MAX),
        );
        push_u16(&mut message, kind);
        push_u16(&mut message, flags);
        push_u32(&mut message, sequence);
        push_u32(&mut message, 0);
        message.extend_from_slice(payload);
        rustix::net::sendto(
            &self.fd,
            &message,
            SendFlags::empty(),
            &SocketAddrNetlink::new(0, 0),
        )
        .map_err(|error| SourceError::new("send to the kernel", error))?;
        Ok(())
    }

    /// Takes the next datagram, if one is there.
    ///
    /// # Errors
    /// What the kernel said; [`Errno::NOBUFS`] means that datagrams were dropped.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
        loop {
            match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, len)) => return Ok(buffer.get(..len.min(DATAGRAM_BYTES_MAX))),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves datagrams into the batch until it is full or none is left. A full socket buffer is
    /// counted in `overruns`: how many datagrams it cost is for the source's own numbers to say.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn drain(&self, batch: &mut Batch) -> Result<Drained, SourceError> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            if batch.room() < DATAGRAM_BYTES_MAX + 4 {
                return Ok(Drained::More);
            }
            match self.receive(&mut buffer) {
                Ok(Some(datagram)) => batch.push_datagram(datagram),
                Ok(None) => return Ok(Drained::Empty),
                Err(Errno::NOBUFS) => batch.overruns = batch.overruns.saturating_add(1),
                Err(error) => return Err(SourceError::new("read a netlink socket", error)),
            }
        }
    }
}

/// The type and payload of a datagram that holds one message. Its length is the datagram's own:
/// audit writes a header length that leaves the header out.
#[must_use]
pub fn message(datagram: &[u8]) -> Option<(u16, &[u8])> {
    Some((u16_at(datagram, 4)?, datagram.get(HEADER_BYTES..)?))
}

/// The sequence number that a message answers.
#[must_use]
pub fn sequence(datagram: &[u8]) -> Option<u32> {
    u32_at(datagram, 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_shorter_than_its_header_is_nothing() {
        assert_eq!(message(&[0; HEADER_BYTES - 1]), None);
        let mut datagram = vec![0; HEADER_BYTES];
        datagram[4] = 20;
        datagram.extend_from_slice(b"audit");
        let (kind, payload) = message(&datagram).unwrap();
        assert_eq!((kind.to_le(), payload), (20_u16.to_le(), &b"audit"[..]));
    }
}
