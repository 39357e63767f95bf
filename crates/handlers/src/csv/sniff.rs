//! What a file is by its beginning, where it is no table of text. Bytes decide, names do not; text
//! in any encoding of one byte a character, Latin-1 for one, passes.

use super::profile::UnreadableTable;

/// Of so many bytes at most one may be a control character: a stray one is no reason to refuse.
const BYTES_PER_CONTROL_MIN: usize = 50;

/// Beginnings, and what they begin, as a sentence about the file goes on after "is".
const KNOWN: &[(&[u8], &str)] = &[
    (b"\xFF\xD8\xFF", "a JPEG photo"),
    (b"\x89PNG\r\n\x1A\n", "a PNG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "a document of a word processor (RTF)"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1\0\0", "an Arrow file"),
    (b"Obj\x01", "an Avro file"),
    (b"ORC", "an ORC file"),
    (b"\x7FELF", "a program"),
    (b"MZ", "a program"),
    (b"OggS", "a recording (Ogg)"),
    (b"ID3", "a recording (MP3)"),
    (b"fLaC", "a recording (FLAC)"),
    (b"\x1A\x45\xDF\xA3", "a video (Matroska)"),
];
/// Beginnings of sheets and archives.
const ARCHIVES: &[&[u8]] = &[
    b"PK\x03\x04",
    b"PK\x05\x06",
    // A sheet of the years before 2007.
    b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
    b"7z\xBC\xAF\x27\x1C",
    b"Rar!\x1A\x07",
];
/// Beginnings of what is compressed: gzip, Zstandard, xz, bzip2.
const COMPRESSED: &[&[u8]] =
    &[b"\x1F\x8B", b"\x28\xB5\x2F\xFD", b"\xFD7zXZ\0", b"BZh91AY&SY", b"\x04\x22\x4D\x18"];

/// Passes what may be a table of text.
pub(super) fn text(head: &[u8]) -> Result<(), UnreadableTable> {
    let begins = |magic: &&[u8]| head.starts_with(magic);
    if begins(&b"\xFF\xFE".as_slice()) || begins(&b"\xFE\xFF".as_slice()) {
        return Err(UnreadableTable::Utf16);
    }
    if ARCHIVES.iter().any(begins) {
        return Err(UnreadableTable::Zip);
    }
    if COMPRESSED.iter().any(begins) {
        return Err(UnreadableTable::Compressed);
    }
    // Letters may begin a table too: `ORC,ELF` does. What is text is one, whatever it begins with.
    if head.contains(&0) || has_many_controls(head) || begins_for_sure(head) {
        return Err(match known(head) {
            Some(what) => UnreadableTable::Known(what),
            None if is_wide(head) => UnreadableTable::Utf16,
            None => UnreadableTable::Binary,
        });
    }
    Ok(())
}

/// These are text to the eye, and never a table.
fn begins_for_sure(head: &[u8]) -> bool {
    head.starts_with(b"%PDF-") || head.starts_with(b"{\\rtf")
}

fn known(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("a WebP picture"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => {
            Some("a recording (WAV)")
        }
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e' | b'v', ..]
        | [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i' | b's', b'f', b'1', ..] => {
            Some("a HEIC photo")
        }
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => Some("an AVIF picture"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("a video (MP4)"),
        _ => KNOWN.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, what)| *what),
    }
}

/// Whether there is more of what nobody types than a slip.
fn has_many_controls(head: &[u8]) -> bool {
    let controls = head
        .iter()
        // Tab, line ends, page end and the escape of some terminals' colours are typed.
        .filter(|byte| matches!(byte, 0x01..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F))
        .count();
    controls > 1 && controls * BYTES_PER_CONTROL_MIN > head.len()
}

/// Whether this is text of two bytes a character that does not say so: every second byte is zero.
fn is_wide(head: &[u8]) -> bool {
    let pairs = head.len() / 2;
    let zeros = |at: usize| head.iter().skip(at).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    pairs > 0 && (even.max(odd) * 10 >= pairs * 9) && even.min(odd) * 10 < pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_language_and_many_a_slip_pass() {
        let latin1: Vec<u8> =
            "stadt;größe\nMünchen;1\nZürich;2\n".chars().map(|c| c as u8).collect();
        for text in [
            latin1.as_slice(),
            "città;größe;東京\n".as_bytes(),
            b"",
            b"ORC,ELF\n1,2\n",
            b"MZ,GIF89a\n1,2\n",
            b"OggS\n",
            b"a,b\n1,\x0b2\n",
            b"\xEF\xBB\xBFa,b\n",
            b"a\x1b[31m,b\x1b[0m\n1,2\n",
        ] {
            assert_eq!(super::text(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_called_by_its_name() {
        let wide: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (head, expected) in [
            (&b"\xFF\xD8\xFF\xE0\0\x10JFIF\0"[..], UnreadableTable::Known("a JPEG photo")),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", UnreadableTable::Known("a PNG picture")),
            (b"RIFF\0\0\0\0WEBPVP8 ", UnreadableTable::Known("a WebP picture")),
            (b"\0\0\0\x20ftypheic\0\0\0\0", UnreadableTable::Known("a HEIC photo")),
            (b"\0\0\0\x20ftypisom\0\0\0\0", UnreadableTable::Known("a video (MP4)")),
            (b"%PDF-1.7\n1 0 obj\n", UnreadableTable::Known("a PDF document")),
            (b"{\\rtf1 a}", UnreadableTable::Known("a document of a word processor (RTF)")),
            (b"SQLite format 3\0\x10\0", UnreadableTable::Known("a SQLite database")),
            (b"PAR1\x15\x04\x15\0", UnreadableTable::Known("a Parquet file")),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0", UnreadableTable::Zip),
            (b"BZh91AY&SY\x01", UnreadableTable::Compressed),
            (wide.as_slice(), UnreadableTable::Utf16),
            (b"a,b\n\x001,2\n", UnreadableTable::Binary),
            (b"\x01\x02\x03\x04\x05", UnreadableTable::Binary),
        ] {
            assert_eq!(text(head), Err(expected), "{head:?}");
        }
    }
}
