//! Netlink sockets: opened, filled with one message at a time, drained by many datagrams a call.

#![expect(unsafe_code, reason = "recvmmsg(2)")]

use super::native::{push_u16, push_u32, u16_at, u32_at};
use super::{Batch, Drained, SourceError};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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

/// Datagrams that one call takes at the most. A start is some ten of them: a call for each would be
/// the larger part of what draining costs.
const AT_ONCE: usize = 32;

/// An open netlink socket that never waits.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    taken: Taken,
}

/// Datagrams that were received and did not yet go into a batch.
#[derive(Debug, Default)]
struct Taken {
    /// One place of [`DATAGRAM_BYTES_MAX`] a datagram; empty until the first drain. Of places that
    /// hold short datagrams only the first page is ever memory.
    places: Vec<u8>,
    lens: [usize; AT_ONCE],
    next: usize,
    count: usize,
}

impl Taken {
    /// The next one, if there is one.
    fn peek(&self) -> Option<&[u8]> {
        if self.next >= self.count {
            return None;
        }
        let len = self.lens.get(self.next).copied()?;
        let start = self.next.checked_mul(DATAGRAM_BYTES_MAX)?;
        self.places.get(start..start.checked_add(len)?)
    }

    /// Takes what stands in the socket, as far as there are places. What was there before is gone.
    fn refill(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.places.is_empty() {
            // Asked for as zeroes: pages that nobody writes to stay the kernel's.
            self.places = vec![0; AT_ONCE * DATAGRAM_BYTES_MAX];
        }
        (self.next, self.count) = (0, 0);
        let mut vectors: [libc::iovec; AT_ONCE] = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; AT_ONCE];
        for (vector, place) in vectors
            .iter_mut()
            .zip(self.places.chunks_exact_mut(DATAGRAM_BYTES_MAX))
        {
            vector.iov_base = place.as_mut_ptr().cast();
            vector.iov_len = place.len();
        }
        // SAFETY: all zeroes is a valid `mmsghdr`: no name, no vectors, no control data.
        let mut headers: [libc::mmsghdr; AT_ONCE] = unsafe { std::mem::zeroed() };
        for (header, vector) in headers.iter_mut().zip(&mut vectors) {
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the headers are as many as is said, each with one vector over its own place of
        // `places`; headers, vectors and places outlive the call, and nothing else borrows them.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                libc::c_uint::try_from(AT_ONCE).unwrap_or(0),
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
        };
        for (len, header) in self.lens.iter_mut().zip(&headers).take(count) {
            *len = usize::try_from(header.msg_len)
                .unwrap_or(0)
                .min(DATAGRAM_BYTES_MAX);
        }
        self.count = count.min(AT_ONCE);
        Ok(())
    }
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
        Ok(Netlink {
            fd,
            taken: Taken::default(),
        })
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
    pub fn drain(&mut self, batch: &mut Batch) -> Result<Drained, SourceError> {
        loop {
            while let Some(datagram) = self.taken.peek() {
                if batch.room() < datagram.len() + 4 {
                    return Ok(Drained::More);
                }
                batch.push_datagram(datagram);
                self.taken.next += 1;
            }
            // Fewer than there were places for: no more stood there.
            if (1..AT_ONCE).contains(&self.taken.count) {
                self.taken.count = 0;
                return Ok(Drained::Empty);
            }
            match self.taken.refill(self.fd.as_fd()) {
                Ok(()) if self.taken.count == 0 => return Ok(Drained::Empty),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Drained::Empty),
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
    fn many_datagrams_come_in_their_order_and_over_several_batches() {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let mut socket = Netlink {
            fd: ours,
            taken: Taken::default(),
        };
        let datagram = |number: usize| vec![u8::try_from(number % 251).unwrap(); 9_000 - number];
        let mut got: Vec<Vec<u8>> = Vec::new();
        let (mut sent, mut full) = (0, 0);
        while sent < 100 {
            // As many as the socket takes: more than go into one batch.
            while sent < 100
                && rustix::net::send(&theirs, &datagram(sent), SendFlags::empty()).is_ok()
            {
                sent += 1;
            }
            loop {
                let mut batch = Batch::new();
                let drained = socket.drain(&mut batch).unwrap();
                got.extend(super::super::datagrams(&batch.bytes).map(<[u8]>::to_vec));
                match drained {
                    Drained::More => full += 1,
                    Drained::Empty => break,
                }
            }
        }
        let expected: Vec<Vec<u8>> = (0..100).map(datagram).collect();
        assert_eq!(got, expected);
        let mut batch = Batch::new();
        assert_eq!(socket.drain(&mut batch).unwrap(), Drained::Empty);
        assert!(batch.bytes.is_empty() && full <= sent);
    }

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
