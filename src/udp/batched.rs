//! The Linux body: `recvmmsg` and `sendmmsg`, with headers that were prepared at start, and the server's own address
//! of every exchange by `IP_PKTINFO` and `IPV6_PKTINFO` (ip(7), ipv6(7)).
//!
//! Every header points into arrays beside it that never move. The pointers to datagrams are valid only within one call.

use super::{Received, Slots, Traffic};
use crate::event::{Peer, canonical};
use crate::limits::{DATAGRAM_SLOT_BYTES, DATAGRAMS_PER_BATCH, SENDS_PER_CALL};
use mio::net::UdpSocket;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr;

/// A socket address of either family, as the kernel reads and writes it.
#[repr(C)]
#[derive(Clone, Copy)]
union Address {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Room for one control message with the larger of the two kinds of packet information, aligned as control
/// messages must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Headers for one call, each with its own address and control message.
struct Headers<const N: usize> {
    headers: Box<[libc::mmsghdr; N]>,
    pieces: Box<[libc::iovec; N]>,
    addresses: Box<[Address; N]>,
    controls: Box<[Control; N]>,
}

// SAFETY: the raw pointers in the headers point into the boxes beside them, which move with them, or are
// overwritten before they are used.
unsafe impl<const N: usize> Send for Headers<N> {}

impl<const N: usize> Headers<N> {
    fn new() -> Self {
        // SAFETY: all of these are C structures of integers and raw pointers, for which zero is a valid value.
        let (header, piece, address) = unsafe {
            (
                zeroed::<libc::mmsghdr>(),
                zeroed::<libc::iovec>(),
                zeroed::<Address>(),
            )
        };
        let mut headers = Headers {
            headers: Box::new([header; N]),
            pieces: Box::new([piece; N]),
            addresses: Box::new([address; N]),
            controls: Box::new([Control([0; 64]); N]),
        };
        for (place, header) in headers.headers.iter_mut().enumerate() {
            let header = &mut header.msg_hdr;
            header.msg_iov = &mut headers.pieces[place];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut headers.addresses[place]).cast();
            header.msg_control = (&raw mut headers.controls[place]).cast();
        }
        headers
    }
}

/// The batched body: see the [module](self).
pub(super) struct Batched {
    inbound: Headers<DATAGRAMS_PER_BATCH>,
    outbound: Headers<SENDS_PER_CALL>,
    /// How many of the outbound headers are filled.
    queued: usize,
    is_ipv6: bool,
}

impl Batched {
    pub(super) fn new(socket: &std::net::UdpSocket, local: SocketAddr) -> io::Result<Box<Self>> {
        let is_ipv6 = local.is_ipv6();
        let (level, option) = if is_ipv6 {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
        } else {
            (libc::IPPROTO_IP, libc::IP_PKTINFO)
        };
        let on: libc::c_int = 1;
        // SAFETY: the option's value is an int that lives through the call, and its size is given.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Box::new(Batched {
            inbound: Headers::new(),
            outbound: Headers::new(),
            queued: 0,
            is_ipv6,
        }))
    }

    pub(super) fn receive(&mut self, socket: &UdpSocket, slots: &mut Slots) -> io::Result<()> {
        for (place, header) in self.inbound.headers.iter_mut().enumerate() {
            self.inbound.pieces[place] = libc::iovec {
                iov_base: slots.bytes[place].as_mut_ptr().cast(),
                iov_len: DATAGRAM_SLOT_BYTES,
            };
            header.msg_hdr.msg_namelen = size_of::<Address>() as libc::socklen_t;
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        let count = loop {
            let result = socket.try_io(|| {
                // SAFETY: each of the headers points to a slot, an address and a control buffer of the sizes given,
                // all of which are borrowed mutably through the call.
                let count = unsafe {
                    libc::recvmmsg(
                        socket.as_raw_fd(),
                        self.inbound.headers.as_mut_ptr(),
                        DATAGRAMS_PER_BATCH as libc::c_uint,
                        libc::MSG_DONTWAIT,
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
            let header = &self.inbound.headers[place];
            slots.received.push(Received {
                len: (header.msg_len as usize).min(DATAGRAM_SLOT_BYTES),
                source: Peer {
                    remote: read_address(&self.inbound.addresses[place]),
                    local: read_local_address(&header.msg_hdr),
                },
            });
        }
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        frames: &[(&[u8], usize)],
        listeners: &[Peer],
        traffic: &mut Traffic,
    ) {
        for &(frame, sender) in frames {
            for (place, listener) in listeners.iter().enumerate() {
                if place != sender {
                    self.queue(socket, frame, listener, traffic);
                }
            }
        }
        self.flush(socket, traffic);
    }

    pub(super) fn send_one(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &Peer,
        traffic: &mut Traffic,
    ) {
        self.queue(socket, bytes, to, traffic);
        self.flush(socket, traffic);
    }

    /// Fills the next header. The caller flushes before `bytes` goes out of its sight.
    fn queue(&mut self, socket: &UdpSocket, bytes: &[u8], to: &Peer, traffic: &mut Traffic) {
        if self.queued == SENDS_PER_CALL {
            self.flush(socket, traffic);
        }
        let place = self.queued;
        self.queued += 1;
        self.outbound.pieces[place] = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let header = &mut self.outbound.headers[place].msg_hdr;
        let address = &mut self.outbound.addresses[place];
        header.msg_namelen = write_address(address, to.remote, self.is_ipv6);
        let control = &mut self.outbound.controls[place];
        header.msg_controllen = write_local_address(control, to.local, self.is_ipv6);
    }

    /// Sends what is queued. A datagram that the kernel refuses is counted and passed over, and the rest goes out.
    fn flush(&mut self, socket: &UdpSocket, traffic: &mut Traffic) {
        let mut sent = 0;
        while sent < self.queued {
            let rest = &mut self.outbound.headers[sent..self.queued];
            // SAFETY: each of the headers points to a datagram, an address and a control message that live
            // through the call; the kernel only reads them.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(count) {
                Ok(count) => {
                    sent += count;
                    traffic.datagrams_sent += count as u64;
                }
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        traffic.count_failure(&error);
                        sent += 1;
                    }
                }
            }
        }
        self.queued = 0;
    }
}

fn read_address(address: &Address) -> SocketAddr {
    // SAFETY: the union began as zeros and was written by the kernel, and every bit pattern is valid for each of
    // its members. The family tells which of them was meant.
    unsafe {
        if libc::c_int::from(address.family) == libc::AF_INET {
            let ip = Ipv4Addr::from(u32::from_be(address.v4.sin_addr.s_addr));
            SocketAddr::from((ip, u16::from_be(address.v4.sin_port)))
        } else {
            let ip = Ipv6Addr::from(address.v6.sin6_addr.s6_addr);
            let port = u16::from_be(address.v6.sin6_port);
            canonical(SocketAddrV6::new(ip, port, 0, address.v6.sin6_scope_id).into())
        }
    }
}

/// Writes an address for a socket of the family that it was bound in, and returns the length it has there.
fn write_address(address: &mut Address, remote: SocketAddr, is_ipv6: bool) -> libc::socklen_t {
    let port = remote.port().to_be();
    match (remote, is_ipv6) {
        (SocketAddr::V4(v4), false) => {
            address.v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: port,
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*v4.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        (remote, _) => {
            let (ip, scope_id) = match remote {
                SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
                SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
            };
            address.v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: port,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                sin6_scope_id: scope_id,
            };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// The address that a datagram was sent to, from the control message that came with it.
fn read_local_address(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the header is as the kernel left it, and its control buffer is aligned and as long as it says. The
    // kinds of message that are read here carry the structure that is read.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = message.as_ref() {
            match (control.cmsg_level, control.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = libc::CMSG_DATA(message).cast::<libc::in_pktinfo>();
                    let ip = u32::from_be(info.read_unaligned().ipi_spec_dst.s_addr);
                    return usable(Ipv4Addr::from(ip).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>();
                    let ip = Ipv6Addr::from(info.read_unaligned().ipi6_addr.s6_addr);
                    return usable(ip.to_canonical());
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// A datagram can be sent to a group or to everyone, but not from there.
fn usable(local: IpAddr) -> Option<IpAddr> {
    let is_broadcast = local == IpAddr::V4(Ipv4Addr::BROADCAST);
    (!local.is_multicast() && !local.is_unspecified() && !is_broadcast).then_some(local)
}

/// Writes the control message that makes a datagram come from this address, and returns its length.
fn write_local_address(control: &mut Control, local: Option<IpAddr>, is_ipv6: bool) -> usize {
    match (local, is_ipv6) {
        (None, _) | (Some(IpAddr::V6(_)), false) => 0,
        (Some(IpAddr::V4(ip)), false) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(ip).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(control, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        (Some(ip), true) => {
            let ip = match ip {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            };
            write_control(control, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

fn write_control<T>(
    control: &mut Control,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    let header = ptr::from_mut(control).cast::<libc::cmsghdr>();
    // SAFETY: CMSG_SPACE and CMSG_LEN only calculate. The buffer is aligned for a header and, as asserted, has room
    // for it and the data behind it.
    unsafe {
        assert!(libc::CMSG_SPACE(size) as usize <= size_of::<Control>());
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(data);
        libc::CMSG_SPACE(size) as usize
    }
}
