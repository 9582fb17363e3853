//! Writes the few forms of CBOR (RFC 8949) that an attestation document has, in the order they
//! are written: AWS's maps are not sorted. For writing only; reading is the verifier's.

/// Bytes that grow by whole items.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        let bytes = argument.to_be_bytes();
        let (low, width) = match argument {
            0..=23 => ((argument & 0x1f) as u8, 0),
            24..=0xff => (24, 1),
            0x100..=0xffff => (25, 2),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 8),
        };
        self.0.push(major | low);
        self.0.extend(bytes.iter().skip(8_usize.saturating_sub(width)));
    }

    pub(super) fn array(&mut self, items: usize) {
        self.head(4, items as u64);
    }

    pub(super) fn map(&mut self, entries: usize) {
        self.head(5, entries as u64);
    }

    /// Begins a map of indefinite length, which [`Self::end`] ends.
    pub(super) fn begin_map(&mut self) {
        self.0.push(0xbf);
    }

    pub(super) fn end(&mut self) {
        self.0.push(0xff);
    }

    pub(super) fn integer(&mut self, value: u64) {
        self.head(0, value);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(3, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn optional_bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.0.push(0xf6),
        }
    }
}
