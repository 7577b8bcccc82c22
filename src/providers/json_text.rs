//! Long texts as JSON strings: what the serializer writes byte by byte, written in runs.

/// How many bytes are looked at together: few enough for registers, many enough for their instructions.
const RUN: usize = 32;
const WORD: usize = 8;

/// Appends a text as a JSON string, in the bytes that `serde_json` writes.
pub(super) fn push(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((at, special)) = first_special(rest) {
        bytes.extend_from_slice(&rest[..at]);
        push_escaped(bytes, special);
        rest = &rest[at + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes.push(b'"');
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The first byte that JSON does not have as it is, and its place.
fn first_special(bytes: &[u8]) -> Option<(usize, u8)> {
    // Without a branch per byte, so that a run is compared at once.
    let is_plain = |run: &&[u8]| !run.iter().fold(false, |found, byte| found | is_special(*byte));
    let plain = bytes.chunks_exact(RUN).take_while(is_plain).count() * RUN;
    let mut at = plain;
    for word in bytes[plain..].chunks_exact(WORD) {
        if let Some(found) = word.first_chunk().and_then(|word| special_in(u64::from_le_bytes(*word))) {
            at += found;
            return Some((at, bytes[at]));
        }
        at += WORD;
    }
    let found = bytes[at..].iter().position(|byte| is_special(*byte))?;
    Some((at + found, bytes[at + found]))
}

/// The place of the first special byte of a word, whose bytes are looked at together.
fn special_in(word: u64) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; WORD]);
    const TOPS: u64 = u64::from_le_bytes([0x80; WORD]);
    // The upper bit of the first byte that is below the limit, and of none before it.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let found = (below(word, 0x20) | equal(b'"') | equal(b'\\')) & TOPS;
    (found != 0).then_some((found.trailing_zeros() / u8::BITS) as usize)
}

fn push_escaped(bytes: &mut Vec<u8>, special: u8) {
    let short = match special {
        b'"' | b'\\' => special,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        control => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
            bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(control >> 4), digit(control)]);
            return;
        }
    };
    bytes.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pushed(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, text);
        bytes
    }

    #[test]
    fn every_ascii_character_at_every_place_of_a_run() {
        for byte in 0..128_u8 {
            for before in 0..2 * RUN {
                let text = format!("{}{}{}", "a".repeat(before), char::from(byte), "é".repeat(20));
                assert_eq!(pushed(&text), serde_json::to_vec(&text).expect("a string"), "{byte} after {before}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_by_the_serializer(text in "(.|[\"\\\\\n\r\t\u{0}-\u{1f}]){0,200}") {
            prop_assert_eq!(pushed(&text), serde_json::to_vec(&text).expect("a string"));
        }
    }
}
