//! Hands messages over to the kernel, and judges what it answers.
//!
//! The kernel takes as many as it has room for. An error is always that of the first.

use super::Headers;
use crate::event::UdpPath;
use crate::udp::Traffic;
use mio::net::UdpSocket;
use std::io;
use std::os::fd::AsRawFd;

/// A header for one datagram outside any batch.
pub(super) struct Single {
    header: Headers<1>,
    is_ipv6: bool,
}

impl Single {
    pub(super) fn new(is_ipv6: bool) -> Self {
        Single {
            header: Headers::new(),
            is_ipv6,
        }
    }

    /// Sends one datagram, and counts how that went.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        bytes: &[u8],
        to: &UdpPath,
        traffic: &mut Traffic,
    ) {
        let mut piece = piece_of(bytes);
        self.header.write(0, to, self.is_ipv6, None);
        let header = &mut self.header.headers[0].msg_hdr;
        header.msg_iov = &raw mut piece;
        header.msg_iovlen = 1;
        // SAFETY: the header points to the piece on the stack, and that to bytes that are borrowed
        // through the call.
        match unsafe { send_all(socket, &mut self.header.headers[..]) } {
            Ok(_) => traffic.count_sent(1, bytes.len()),
            Err(error) => traffic.count_failures(&error, 1),
        }
    }
}

/// Hands messages to the kernel, and returns how many it took: at least one, or it is an error of
/// the first.
///
/// # Safety
///
/// The headers' pieces must point to memory that lives through the call. Their addresses and
/// control messages do, as part of [`Headers`].
pub(super) unsafe fn send_all(
    socket: &UdpSocket,
    headers: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    loop {
        // SAFETY: as above; the kernel only reads what the headers point to.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        match usize::try_from(count) {
            Ok(count) => return Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// A piece that the kernel only reads.
pub(super) fn piece_of(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    }
}

/// Whether an error can mean that the kernel or the device does not take segments, or not of this
/// length.
pub(super) fn may_be_the_segments(error: &io::Error) -> bool {
    let code = error.raw_os_error().unwrap_or(0);
    [
        libc::EINVAL,
        libc::EIO,
        libc::EOPNOTSUPP,
        libc::ENOPROTOOPT,
        libc::EMSGSIZE,
    ]
    .contains(&code)
}
