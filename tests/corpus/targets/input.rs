//! Bytes as a stream of decisions: whatever a target wants to know next, it reads from here. Past
//! the end everything is zero, so that every input means something and none is refused.

pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next so many bytes, or what is left of them.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// One of `0..bound`, from one byte.
    pub fn below(&mut self, bound: u8) -> u8 {
        self.u8() % bound
    }

    pub fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// How often to do something: mostly once, and with a few values of the byte many times, so that a
    /// burst costs the fuzzer no more bytes than one.
    pub fn times(&mut self) -> u8 {
        self.u8().saturating_sub(191).max(1)
    }

    /// The next bytes behind a length of one byte.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = self.u8();
        self.take(len.into())
    }
}
