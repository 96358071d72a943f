//! Binds the ports, and sets the options of sockets.

use super::ServerError;
use crate::config::{Config, UdpSend};
use crate::limits::{
    DSCP_EXPEDITED_FORWARDING, LISTEN_BACKLOG, Limits, OTHER_DESCRIPTORS, RECEIVE_BUFFER_BYTES,
    SEND_BUFFER_BYTES, SOCKET_BUFFER_BYTES,
};
#[cfg(target_os = "linux")]
use crate::limits::{SOCKET_PRIORITY, UNSENT_BYTES};
use crate::system;
use log::{debug, warn};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Binds the management port and the voice port to the same address.
pub(super) fn bind(config: &Config) -> Result<(TcpListener, UdpSocket), ServerError> {
    let (address, listener) = match config.bind_address {
        Some(address) => {
            let address = address.to_canonical();
            (address, listen_at(address, config.management_port)?)
        }
        None => listen_everywhere(config.management_port)?,
    };
    let is_plain = config.udp_send == UdpSend::Plain || cfg!(not(target_os = "linux"));
    if is_plain && address.is_unspecified() {
        warn!(
            "sent one by one, voice leaves a machine with several addresses from the one that its routes choose, and \
             clients that dialled another hear nothing: bind to one address (bind_address)"
        );
    }
    Ok((listener, bind_voice(address, config.voice_relay_port)?))
}

/// Listens on every address, and returns which form of "every" it was.
fn listen_everywhere(port: u16) -> Result<(IpAddr, TcpListener), ServerError> {
    let both = Ipv6Addr::UNSPECIFIED.into();
    match listen_at(both, port) {
        Ok(listener) => Ok((both, listener)),
        Err(ServerError::Listen { source, .. }) if means_no_address(&source) => {
            warn!("this machine has no IPv6, listening on IPv4 alone: {source}");
            let ipv4 = Ipv4Addr::UNSPECIFIED.into();
            Ok((ipv4, listen_at(ipv4, port)?))
        }
        Err(error) => Err(error),
    }
}

/// Whether the system does not have this address or its family at all.
fn means_no_address(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return [
            libc::EAFNOSUPPORT,
            libc::EPROTONOSUPPORT,
            libc::EADDRNOTAVAIL,
        ]
        .contains(&code);
    }
    error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported
}

/// Listens for clients.
fn listen_at(address: IpAddr, port: u16) -> Result<TcpListener, ServerError> {
    listen(SocketAddr::new(address, port)).map_err(|source| ServerError::Listen {
        protocol: "TCP",
        address: SocketAddr::new(address, port),
        field: field_at_fault(&source, "management_port"),
        source,
    })
}

/// Listens for collectors of metrics.
pub(super) fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, ServerError> {
    listen(address).map_err(|source| ServerError::Listen {
        protocol: "TCP",
        address,
        field: "metrics_address",
        source,
    })
}

/// The setting to change where one of the two ports cannot be bound.
fn field_at_fault(error: &io::Error, port: &'static str) -> &'static str {
    match means_no_address(error) {
        true => "bind_address",
        false => port,
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // Without this, a restart would wait for connections of the last run to time out. On Windows it
    // would let another process take over the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it, as a client learns the size when it connects.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn bind_voice(address: IpAddr, port: u16) -> Result<UdpSocket, ServerError> {
    let address = SocketAddr::new(address, port);
    open(address, Type::DGRAM, Protocol::UDP)
        .and_then(|socket| {
            socket.bind(&address.into())?;
            mark_as_voice(&socket, address.is_ipv6());
            size_buffers(&socket)?;
            Ok(socket.into())
        })
        .map_err(|source| ServerError::Listen {
            protocol: "UDP",
            address,
            field: field_at_fault(&source, "voice_relay_port"),
            source,
        })
}

/// Asks the network and the machine to send voice first. Where they do not support that, voice is
/// sent like everything else.
fn mark_as_voice(socket: &Socket, is_ipv6: bool) {
    // The lower two bits of the field are congestion notification's (RFC 3168).
    let traffic_class = DSCP_EXPEDITED_FORWARDING << 2;
    let results = [
        socket.set_tos_v4(traffic_class),
        match is_ipv6 {
            #[cfg(unix)]
            true => socket.set_tclass_v6(traffic_class),
            _ => Ok(()),
        },
        // Marking sets a priority of its own, so this comes after it.
        #[cfg(target_os = "linux")]
        socket.set_priority(SOCKET_PRIORITY),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        debug!("cannot mark voice for the network: {error}");
    }
}

/// Asks for buffers that hold a burst, and warns if they were not granted.
fn size_buffers(socket: &Socket) -> io::Result<()> {
    // The kernel refuses no size, and grants what it allows.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    // Linux doubles what it is asked for, for its own bookkeeping, and reports the double
    // (socket(7)).
    let told_per_byte = if cfg!(target_os = "linux") { 2 } else { 1 };
    let granted = [socket.recv_buffer_size()?, socket.send_buffer_size()?];
    let [receive, send] = granted.map(|size| size / told_per_byte);
    if receive.min(send) < SOCKET_BUFFER_BYTES {
        warn!(
            "the voice socket's buffers are {} KiB (receive) and {} KiB (send) instead of {} KiB, \
             and a burst can be lost: raise the sysctls net.core.rmem_max and net.core.wmem_max to {SOCKET_BUFFER_BYTES}",
            receive / 1_024,
            send / 1_024,
            SOCKET_BUFFER_BYTES / 1_024,
        );
    }
    Ok(())
}

/// Raises the limit on descriptors, and warns if not everyone fits into it.
pub(super) fn make_room_for_descriptors(limits: Limits) {
    let max_users = limits.users;
    let needed = max_users + limits.pending_connections + OTHER_DESCRIPTORS;
    match system::raise_descriptor_limit() {
        Ok(Some(limit)) if limit < needed as u64 => warn!(
            "{max_users} users and those who log in need {needed} open descriptors, and the limit \
             is {limit}: further clients have to wait (raise it with ulimit -n)"
        ),
        Ok(_) => {}
        Err(error) => warn!("cannot read the limit on open descriptors: {error}"),
    }
}

/// A non-blocking socket, for both families if the address is IPv6's "every address".
fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets the options of an accepted connection. Where one cannot be set, the connection is most
/// likely gone already, and its next read will fail.
///
/// The kernel probes a silent client (keepalive, tcp(7)) and retransmits what is lost. It does not
/// decide which client is gone: with something under way it does not probe, and begins to count
/// anew. `TCP_USER_TIMEOUT` keeps it from giving up before the server does, which looks at each
/// (`Connections::look_at_due`). Elsewhere keepalive has to do.
pub(super) fn prepare(stream: &TcpStream, limits: &Limits) {
    let keepalive = TcpKeepalive::new()
        .with_time(limits.keepalive())
        .with_interval(limits.keepalive());
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(limits.keepalive_retries());
    let socket = SockRef::from(stream);
    let result = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER_BYTES));
    #[cfg(target_os = "linux")]
    let result = result.and_then(|()| {
        // Older kernels do not know it.
        let _ = system::bound_retransmission(stream, limits.retransmission());
        system::bound_unsent(stream, UNSENT_BYTES)?;
        socket.set_tcp_user_timeout(Some(limits.user_timeout()))
    });
    if let Err(error) = result {
        debug!("cannot set the options of a connection: {error}");
    }
}

/// Lets the kernel take all of so many bytes, for a client that reads them once the server has
/// stopped. If it refuses, it takes what it can.
pub(super) fn make_room(stream: &TcpStream, bytes: usize) {
    let socket = SockRef::from(stream);
    let _ = socket.set_send_buffer_size(bytes.max(SEND_BUFFER_BYTES));
    #[cfg(target_os = "linux")]
    let _ = system::bound_unsent(stream, usize::MAX);
}
