//! Socket addresses and control messages, as the kernel reads and writes them.

use crate::event::canonical;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A socket address of either family, as the kernel reads and writes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) union Address {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Room for every control message that a datagram comes with (packet information, time stamp and
/// drops: 40, 32 and 24 bytes at most) or goes with (packet information and segment length),
/// aligned as they must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control([u8; 128]);

impl Control {
    pub(super) const EMPTY: Control = Control([0; 128]);
}

pub(super) fn read_address(address: &Address) -> SocketAddr {
    // SAFETY: the union began as zeros and was written by the kernel, and every bit pattern is
    // valid for each of its members. The family tells which of them was meant.
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

/// Writes an address for a socket of the family that it was bound in, and returns the length it has
/// there.
pub(super) fn write_address(
    address: &mut Address,
    remote: SocketAddr,
    is_ipv6: bool,
) -> libc::socklen_t {
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

/// What the kernel reports about a datagram beside its bytes.
#[derive(Default)]
pub(super) struct Arrival {
    /// The server's address that it was sent to.
    pub(super) local: Option<IpAddr>,
    /// When it arrived, in nanoseconds since the Unix epoch.
    pub(super) arrived_ns: Option<u64>,
    /// Datagrams that the socket has dropped so far for want of room, modulo 2^32. The kernel
    /// reports nothing before the first.
    pub(super) dropped: Option<u32>,
}

/// Reads the control messages that came with a datagram.
pub(super) fn read_arrival(header: &libc::msghdr) -> Arrival {
    let mut arrival = Arrival::default();
    // SAFETY: the header is as the kernel left it, and its control buffer is aligned and as long as
    // it says. The kinds of message that are read here carry the structure that is read.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(control) = message.as_ref() {
            // One that was cut for want of room would end outside the buffer.
            if header.msg_flags & libc::MSG_CTRUNC != 0 {
                return Arrival::default();
            }
            let data = libc::CMSG_DATA(message);
            match (control.cmsg_level, control.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let ip = u32::from_be(info.ipi_spec_dst.s_addr);
                    arrival.local = usable(Ipv4Addr::from(ip).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    arrival.local = usable(ip.to_canonical());
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                    arrival.arrived_ns = Some(seconds * 1_000_000_000 + time.tv_nsec as u64);
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    arrival.dropped = Some(data.cast::<u32>().read_unaligned());
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    arrival
}

/// A datagram can be sent to a group or to everyone, but not from there.
fn usable(local: IpAddr) -> Option<IpAddr> {
    let is_broadcast = local == IpAddr::V4(Ipv4Addr::BROADCAST);
    (!local.is_multicast() && !local.is_unspecified() && !is_broadcast).then_some(local)
}

/// Writes the control messages for a message to one recipient, and returns their length: the
/// address that it must come from, and for several datagrams in one, how long each is.
pub(super) fn write_control(
    control: &mut Control,
    local: Option<IpAddr>,
    is_ipv6: bool,
    segment_len: Option<u16>,
) -> usize {
    let mut used = 0;
    match local {
        Some(IpAddr::V4(ip)) if !is_ipv6 => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(ip).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            used = append(control, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(ip) if is_ipv6 => {
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
            used = append(control, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        _ => {}
    }
    if let Some(len) = segment_len {
        used = append(control, used, libc::SOL_UDP, libc::UDP_SEGMENT, len);
    }
    used
}

/// Writes one control message behind those that are there, and returns the length with it, without
/// the padding that another one would need: 36 bytes are what the kernel has room for on its stack
/// (`____sys_sendmsg`), and with the 4 of padding it would allocate memory for every datagram.
fn append<T>(
    control: &mut Control,
    used: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
) -> usize {
    let size = size_of::<T>() as libc::c_uint;
    let start = used.next_multiple_of(align_of::<Control>());
    // SAFETY: CMSG_SPACE and CMSG_LEN only calculate. The buffer is aligned for headers, as is where
    // this one starts, and, as asserted, there is room for it with its data.
    unsafe {
        assert!(start + libc::CMSG_SPACE(size) as usize <= size_of::<Control>());
        let header = (&raw mut *control).byte_add(start).cast::<libc::cmsghdr>();
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(data);
        start + libc::CMSG_LEN(size) as usize
    }
}
