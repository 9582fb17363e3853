//! A PSBT of version 2 (BIP-370), as one of version 0 (BIP-174), which is the only one that the enclave
//! reads. Both say the same transaction: version 2 in fields of the maps, version 0 in one field. What
//! else the maps hold stays as it is and where it is. Nothing is trusted here: the signer judges what
//! comes out.

use std::collections::BTreeSet;

use chains::Refused;

const MAGIC: &[u8] = b"psbt\xff";
/// The most inputs, and the most outputs, that the signer takes.
const MOST: usize = 100;
/// From this on a locktime is a Unix time; below it is the height of a block.
const FIRST_TIME: u32 = 500_000_000;

const FIELD: &str = "transaction.bitcoin.field";
const ENCODING: &str = "transaction.bitcoin.encoding";
const LOCK_TIME: &str = "transaction.bitcoin.locktime";

/// Makes a PSBT of version 2 one of version 0; `None` for anything else, also for what cannot be read,
/// which the strict reader then says better.
///
/// # Errors
/// [`Refused`] with a tag `transaction.bitcoin.…`: `field` for one that is missing or there twice, `encoding`,
/// `inputs`, `outputs`, `modifiable` where others may still change what is signed, `locktime` where the
/// inputs require what excludes each other.
pub(crate) fn to_version_0(psbt: &[u8]) -> Result<Option<Vec<u8>>, Refused> {
    let Some(mut rest) = psbt.strip_prefix(MAGIC) else { return Ok(None) };
    let rest = &mut rest;
    let mut global = match Map::read(rest) {
        Ok(global) => global,
        Err(refused) if refused.tag == FIELD => return Err(refused),
        Err(_) => return Ok(None),
    };
    if global.take(0xfb) != Some(&2_u32.to_le_bytes()) {
        return Ok(None);
    }
    if global.take(0x00).is_some() {
        let allowed = "fields of the PSBT's own version only";
        return Err(Refused::new(FIELD, allowed, "PSBT_GLOBAL_UNSIGNED_TX in one of version 2"));
    }
    let version = global.required(0x02, "PSBT_GLOBAL_TX_VERSION")?;
    let fallback = global.number(0x03)?;
    let inputs = count(global.take(0x04), "PSBT_GLOBAL_INPUT_COUNT", "transaction.bitcoin.inputs")?;
    let outputs = count(global.take(0x05), "PSBT_GLOBAL_OUTPUT_COUNT", "transaction.bitcoin.outputs")?;
    if global.take(0x06).is_some_and(|flags| flags != [0]) {
        let allowed = "PSBT_GLOBAL_TX_MODIFIABLE without a flag";
        return Err(Refused::new("transaction.bitcoin.modifiable", allowed, "one with a flag"));
    }
    let mut inputs = (0..inputs).map(|_| Map::read(rest)).collect::<Result<Vec<_>, _>>()?;
    let mut outputs = (0..outputs).map(|_| Map::read(rest)).collect::<Result<Vec<_>, _>>()?;
    if !rest.is_empty() {
        return Err(malformed("the end of the PSBT", &format!("{} more bytes", rest.len())));
    }
    let mut unsigned = u32::to_le_bytes(version).to_vec();
    let mut locks = Vec::new();
    put_size(&mut unsigned, inputs.len());
    for input in &mut inputs {
        unsigned.extend(input.required_bytes::<32>(0x0e, "PSBT_IN_PREVIOUS_TXID")?);
        unsigned.extend(input.required_bytes::<4>(0x0f, "PSBT_IN_OUTPUT_INDEX")?);
        // No scriptSig. BIP-370: without the field, the sequence is final.
        unsigned.push(0);
        unsigned.extend(input.number(0x10)?.unwrap_or(u32::MAX).to_le_bytes());
        locks.push((lock(input.number(0x12)?, 1..FIRST_TIME)?, lock(input.number(0x11)?, FIRST_TIME..)?));
    }
    put_size(&mut unsigned, outputs.len());
    for output in &mut outputs {
        unsigned.extend(output.required_bytes::<8>(0x03, "PSBT_OUT_AMOUNT")?);
        let script = output.take(0x04).ok_or_else(|| missing("PSBT_OUT_SCRIPT"))?;
        put_bytes(&mut unsigned, script);
    }
    unsigned.extend(lock_time(fallback, &locks)?.to_le_bytes());
    let mut out = MAGIC.to_vec();
    put_bytes(&mut out, &[0x00]);
    put_bytes(&mut out, &unsigned);
    for map in std::iter::once(&global).chain(&inputs).chain(&outputs) {
        map.put(&mut out);
    }
    Ok(Some(out))
}

/// The keys and values of a map, in their order.
struct Map<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Map<'a> {
    /// Reads a map to its end. No key comes twice.
    fn read(rest: &mut &'a [u8]) -> Result<Self, Refused> {
        let (mut pairs, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let key = sized(rest)?;
            if key.is_empty() {
                return Ok(Self(pairs));
            }
            if !seen.insert(key) {
                return Err(Refused::new(
                    FIELD,
                    "each key once",
                    format!("one of {} bytes twice", key.len()),
                ));
            }
            pairs.push((key, sized(rest)?));
        }
    }

    /// Takes the value of a key that is its type alone.
    fn take(&mut self, kind: u8) -> Option<&'a [u8]> {
        let at = self.0.iter().position(|(key, _)| *key == [kind])?;
        Some(self.0.remove(at).1)
    }

    fn bytes<const N: usize>(&mut self, kind: u8) -> Result<Option<[u8; N]>, Refused> {
        let value = self.take(kind).map(|value| {
            let other = |_| malformed(&format!("a value of {N} bytes"), &format!("{} bytes", value.len()));
            value.try_into().map_err(other)
        });
        value.transpose()
    }

    fn required_bytes<const N: usize>(&mut self, kind: u8, name: &str) -> Result<[u8; N], Refused> {
        self.bytes(kind)?.ok_or_else(|| missing(name))
    }

    fn number(&mut self, kind: u8) -> Result<Option<u32>, Refused> {
        Ok(self.bytes(kind)?.map(u32::from_le_bytes))
    }

    fn required(&mut self, kind: u8, name: &str) -> Result<u32, Refused> {
        self.number(kind)?.ok_or_else(|| missing(name))
    }

    fn put(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            put_bytes(out, key);
            put_bytes(out, value);
        }
        out.push(0);
    }
}

/// The locktime as BIP-370 determines it: the greatest height if every input that requires anything takes
/// a height, otherwise the greatest time if they all take a time; without requirements the fallback, and
/// without that 0.
fn lock_time(fallback: Option<u32>, required: &[(Option<u32>, Option<u32>)]) -> Result<u32, Refused> {
    let requiring = || required.iter().filter(|(height, time)| height.or(*time).is_some());
    if requiring().next().is_none() {
        return Ok(fallback.unwrap_or(0));
    }
    let heights: Option<Vec<u32>> = requiring().map(|(height, _)| *height).collect();
    let times: Option<Vec<u32>> = requiring().map(|(_, time)| *time).collect();
    heights.or(times).and_then(|all| all.into_iter().max()).ok_or_else(|| {
        let found = "an input that requires a height and one that requires a time";
        Refused::new(LOCK_TIME, "a kind of locktime that all inputs take", found)
    })
}

/// A required locktime of its kind.
fn lock(value: Option<u32>, allowed: impl std::ops::RangeBounds<u32>) -> Result<Option<u32>, Refused> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            let expected =
                format!("a height from 1 to {}, a time from {FIRST_TIME}", FIRST_TIME.saturating_sub(1));
            Err(Refused::new(LOCK_TIME, expected, value.to_string()))
        }
        value => Ok(value),
    }
}

/// The number of inputs or outputs.
fn count(value: Option<&[u8]>, name: &str, tag: &'static str) -> Result<usize, Refused> {
    let mut rest = value.ok_or_else(|| missing(name))?;
    let count = size(&mut rest)?;
    if !rest.is_empty() {
        return Err(malformed("one number as the count", &format!("{} more bytes", rest.len())));
    }
    if !(1..=MOST).contains(&count) {
        return Err(Refused::new(tag, format!("1 to {MOST}"), count.to_string()));
    }
    Ok(count)
}

/// A compact size in its shortest form.
fn size(rest: &mut &[u8]) -> Result<usize, Refused> {
    let (first, least) = match take(rest, 1)? {
        [0xfd] => (take(rest, 2)?, 0xfd),
        [0xfe] => (take(rest, 4)?, 0x1_0000),
        [0xff] => (take(rest, 8)?, 0x1_0000_0000),
        short => (short, 0),
    };
    let value = first.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    if value < least {
        return Err(malformed("the shortest form of a size", "a longer one"));
    }
    Ok(usize::try_from(value).unwrap_or(usize::MAX))
}

/// As many bytes as the compact size before them says.
fn sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refused> {
    let length = size(rest)?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refused> {
    let Some((taken, after)) = rest.split_at_checked(length) else {
        return Err(malformed(&format!("{length} bytes"), &format!("{} bytes", rest.len())));
    };
    *rest = after;
    Ok(taken)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend(bytes);
}

fn put_size(out: &mut Vec<u8>, size: usize) {
    // A PSBT is read from at most 8 MiB.
    let bytes = u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let [low, high, ..] = bytes;
    match size {
        ..0xfd => out.push(low),
        0xfd..0x1_0000 => out.extend([0xfd, low, high]),
        _ => out.extend([&[0xfe], bytes.as_slice()].concat()),
    }
}

fn missing(name: &str) -> Refused {
    Refused::new(FIELD, name, "a map without it")
}

fn malformed(allowed: &str, found: &str) -> Refused {
    Refused::new(ENCODING, allowed, found)
}
