//! Follows the records of TLS as they come in, to know how much the library holds.
//!
//! The library keeps part of a record until the rest arrives.

/// The header of a record: its type, its version, and its length (RFC 8446, section 5.1).
const HEADER_BYTES: usize = 5;

/// Where the last record has got to: see the [module](self).
#[derive(Default)]
pub(super) struct Records {
    /// Bytes that are here of a record that is not whole.
    partial: usize,
    /// Bytes after its header.
    length: usize,
}

impl Records {
    /// Bytes that came in and are no whole record yet.
    pub(super) fn partial(&self) -> usize {
        self.partial
    }

    /// Looks at what came, and returns how many records it completes.
    pub(super) fn see(&mut self, mut came: &[u8]) -> usize {
        let mut whole = 0;
        while let Some((&first, rest)) = came.split_first() {
            if self.partial < HEADER_BYTES {
                match self.partial {
                    3 => self.length = usize::from(first) << 8,
                    4 => self.length |= usize::from(first),
                    _ => {}
                }
                self.partial += 1;
                came = rest;
            } else {
                let left = HEADER_BYTES + self.length - self.partial;
                let len = left.min(came.len());
                self.partial += len;
                came = &came[len..];
            }
            if self.partial >= HEADER_BYTES && self.partial == HEADER_BYTES + self.length {
                self.partial = 0;
                whole += 1;
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_record_is_counted_however_it_comes() {
        let mut stream = Vec::new();
        let mut ends = Vec::new();
        for length in [0_u16, 1, 5, 300, 16_384] {
            stream.extend([0x17, 3, 3]);
            stream.extend(length.to_be_bytes());
            stream.resize(stream.len() + usize::from(length), 0x17);
            ends.push(stream.len());
        }
        for piece in [1, 2, 3, 7, 4_096, 20_000] {
            let mut records = Records::default();
            let (mut seen, mut count) = (0, 0);
            for bytes in stream.chunks(piece) {
                count += records.see(bytes);
                seen += bytes.len();
                let whole = ends.iter().rfind(|&&end| end <= seen);
                assert_eq!(records.partial(), seen - whole.unwrap_or(&0), "{piece}");
            }
            assert_eq!(count, ends.len(), "{piece}");
        }
    }
}
