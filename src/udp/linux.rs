//! The Linux body: `recvmmsg` and `sendmmsg` with headers that were prepared at start (recvmmsg(2),
//! sendmmsg(2)), and the server's own address of every exchange by `IP_PKTINFO` and `IPV6_PKTINFO`
//! (ip(7), ipv6(7)).
//!
//! Every header points into arrays beside it that never move. Pointers to datagrams are valid only
//! within one call.

mod address;
mod hand_over;
mod outbound;
mod sealed;

pub(super) use outbound::{Outbound, knows_segments};

use super::{Received, Slots, Traffic};
use crate::event::UdpPath;
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH};
use address::{Address, Control, read_address, read_arrival, write_address, write_control};
use log::debug;
use mio::net::UdpSocket;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// Headers for one call, each with an address and room for control messages.
struct Headers<const N: usize> {
    headers: Box<[libc::mmsghdr; N]>,
    addresses: Box<[Address; N]>,
    controls: Box<[Control; N]>,
}

impl<const N: usize> Headers<N> {
    fn new() -> Self {
        // SAFETY: both are C structures of integers and raw pointers, for which zero is a valid
        // value.
        let (header, address) = unsafe { (zeroed::<libc::mmsghdr>(), zeroed::<Address>()) };
        Headers {
            headers: Box::new([header; N]),
            addresses: Box::new([address; N]),
            controls: Box::new([Control::EMPTY; N]),
        }
    }

    /// Prepares a header for whatever address and control messages the kernel will write.
    fn clear(&mut self, place: usize) {
        let header = &mut self.headers[place].msg_hdr;
        header.msg_name = (&raw mut self.addresses[place]).cast();
        header.msg_namelen = size_of::<Address>() as libc::socklen_t;
        header.msg_control = (&raw mut self.controls[place]).cast();
        header.msg_controllen = size_of::<Control>() as _;
    }

    /// Prepares a header for a message along this path, of segments of a length if it is more than
    /// one datagram.
    fn write(&mut self, place: usize, to: &UdpPath, is_ipv6: bool, segment_len: Option<u16>) {
        let (address, control) = (&mut self.addresses[place], &mut self.controls[place]);
        let header = &mut self.headers[place].msg_hdr;
        header.msg_namelen = write_address(address, to.remote, is_ipv6);
        header.msg_name = (&raw mut *address).cast();
        header.msg_controllen = write_control(control, to.local, is_ipv6, segment_len) as _;
        header.msg_control = (&raw mut *control).cast();
    }
}

/// The receiving half: see the [module](self).
pub(super) struct Inbound {
    headers: Headers<DATAGRAMS_PER_BATCH>,
    pieces: Box<[libc::iovec; DATAGRAMS_PER_BATCH]>,
    /// The kernel's last count of dropped datagrams.
    dropped: u32,
}

// SAFETY: the raw pointers in the headers and pieces are written before each use.
unsafe impl Send for Inbound {}

impl Inbound {
    /// Prepares a socket.
    pub(super) fn new(socket: &std::net::UdpSocket, is_ipv6: bool) -> io::Result<Self> {
        let fd = socket.as_raw_fd();
        // Where the socket is bound to one address there is no other, and reporting it with every
        // datagram costs time.
        if socket.local_addr()?.ip().is_unspecified() {
            let (level, option) = match is_ipv6 {
                true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
                false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            };
            set_option(fd, level, option, 1)?;
        }
        // These two only report more: where they are missing, less is known.
        let results = [libc::SO_RXQ_OVFL, libc::SO_TIMESTAMPNS]
            .map(|option| set_option(fd, libc::SOL_SOCKET, option, 1));
        for error in results.into_iter().filter_map(Result::err) {
            debug!("the kernel does not report everything about datagrams: {error}");
        }
        let piece = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Ok(Inbound {
            headers: Headers::new(),
            pieces: Box::new([piece; DATAGRAMS_PER_BATCH]),
            dropped: 0,
        })
    }

    /// Fills the slots with what is there.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        slots: &mut Slots,
        traffic: &mut Traffic,
    ) -> io::Result<()> {
        let places = self.offer(slots);
        let headers = &mut self.headers.headers;
        let count = loop {
            let result = socket.try_io(|| {
                // SAFETY: each of the first `places` headers points to a slot of its own, an address
                // and a control buffer of the sizes given, all of which are borrowed mutably through
                // the call.
                let count = unsafe {
                    libc::recvmmsg(
                        socket.as_raw_fd(),
                        headers.as_mut_ptr(),
                        places as libc::c_uint,
                        // The lengths are those that came, even where the slot cut them.
                        (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _,
                        ptr::null_mut(),
                    )
                };
                usize::try_from(count).map_err(|_| io::Error::last_os_error())
            });
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        for place in 0..count {
            let header = &self.headers.headers[place];
            let arrival = read_arrival(&header.msg_hdr);
            if let Some(dropped) = arrival.dropped {
                traffic.kernel_drops += u64::from(dropped.wrapping_sub(self.dropped));
                self.dropped = dropped;
            }
            traffic.bytes_received += u64::from(header.msg_len);
            slots.fill(Received {
                len: (header.msg_len as usize).min(DATAGRAM_SLOT_BYTES),
                arrived_ns: arrival.arrived_ns,
                path: UdpPath {
                    remote: read_address(&self.headers.addresses[place]),
                    local: arrival.local,
                },
            });
        }
        Ok(())
    }

    /// Points headers to free slots, a batch at most, and returns how many.
    fn offer(&mut self, slots: &mut Slots) -> usize {
        for place in 0..DATAGRAMS_PER_BATCH {
            let Some(bytes) = slots.free_bytes(place) else {
                return place;
            };
            self.headers.clear(place);
            self.pieces[place] = libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: DATAGRAM_SLOT_BYTES,
            };
            let header = &mut self.headers.headers[place].msg_hdr;
            header.msg_iov = &raw mut self.pieces[place];
            header.msg_iovlen = 1;
        }
        DATAGRAMS_PER_BATCH
    }
}

fn set_option(
    fd: RawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option's value is an int that lives through the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the kernel refuse segments on a socket.
#[cfg(test)]
pub(super) fn refuse_segments(socket: &impl AsRawFd) {
    let result = set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1);
    result.expect("every socket has the option");
}
