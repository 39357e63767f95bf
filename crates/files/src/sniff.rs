//! The type of a file from its first bytes, and from its name only where the bytes are text. It
//! never answers with a type that a browser would run.

/// Bytes of a file that are looked at.
pub(crate) const SNIFF_BYTES: usize = 512;
/// Longest type a sender may claim, in bytes.
const CLAIM_BYTES_MAX: usize = 127;

const BINARY: &str = "application/octet-stream";
const PLAIN: &str = "text/plain";
const CSV: &str = "text/csv";
const JSON: &str = "application/json";
const ZIP: &str = "application/zip";

/// Types that may be shown inside a page.
pub(crate) const INLINE_SAFE: &[&str] =
    &["image/png", "image/jpeg", "image/webp", "image/gif", PLAIN, CSV, JSON];

/// The type of a file that begins with `head` (all of it, or its first [`SNIFF_BYTES`]) and is
/// called `name`; `claimed` is what its sender says, kept where the content does not contradict.
pub(crate) fn media_type(head: &[u8], name: &str, claimed: Option<&str>) -> String {
    let claimed = claimed.and_then(tidy).filter(|claim| !is_active(claim));
    match by_magic(head) {
        // Many formats are archives inside: documents, books, packages.
        Some(ZIP) => claimed.filter(|claim| is_archive(claim)).unwrap_or_else(|| ZIP.into()),
        Some(known) => known.into(),
        None if is_text(head) => by_text(head, name, claimed),
        None => claimed.filter(|claim| may_be_binary(claim)).unwrap_or_else(|| BINARY.into()),
    }
}

fn by_magic(head: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-", "application/pdf"),
        (b"PK\x03\x04", ZIP),
        (b"PK\x05\x06", ZIP),
        (b"\x1f\x8b", "application/gzip"),
    ];
    if head.len() >= 12 && head.starts_with(b"RIFF") && &head[8..12] == b"WEBP" {
        return Some("image/webp");
    }
    if head.len() >= 12 && &head[4..8] == b"ftyp" && is_mp4(&head[8..12]) {
        return Some("video/mp4");
    }
    MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, found)| *found)
}

fn is_mp4(brand: &[u8]) -> bool {
    [&b"isom"[..], b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"]
        .contains(&brand)
}

/// Whether these are characters people read: UTF-8 without control characters.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off by the end of what is looked at.
        Err(error) if error.error_len().is_none() && head.len() >= SNIFF_BYTES => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c'))
}

fn by_text(head: &[u8], name: &str, claimed: Option<String>) -> String {
    let extension = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let first = head.iter().copied().find(|b| !b.is_ascii_whitespace());
    match extension.as_deref() {
        Some("csv") => return CSV.into(),
        Some("json") if matches!(first, Some(b'{' | b'[' | b'"' | b'0'..=b'9' | b'-')) => {
            return JSON.into();
        }
        Some("txt" | "text" | "log" | "md") => return PLAIN.into(),
        _ => {}
    }
    let fits = |claim: &String| {
        claim.starts_with("text/") || (claim == JSON && matches!(first, Some(b'{' | b'[')))
    };
    claimed.filter(fits).unwrap_or_else(|| if head.is_empty() { BINARY } else { PLAIN }.into())
}

/// A claimed type without parameters, in lower case; `None` if it is no type.
fn tidy(claim: &str) -> Option<String> {
    let bare = claim.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (group, rest) = bare.split_once('/')?;
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    (bare.len() <= CLAIM_BYTES_MAX && word(group) && word(rest)).then_some(bare)
}

/// Whether a browser would run what is in it.
fn is_active(claim: &str) -> bool {
    ["html", "xml", "svg", "script", "wasm", "flash"].iter().any(|word| claim.contains(word))
        && !claim.starts_with("application/vnd.")
}

fn is_archive(claim: &str) -> bool {
    claim.starts_with("application/vnd.") || claim.ends_with("+zip") || claim.ends_with("-archive")
}

/// Bytes without a known beginning are none of the types that have one, and no text.
fn may_be_binary(claim: &str) -> bool {
    let known = ["image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4"];
    let known = known.contains(&claim)
        || ["/pdf", "/zip", "/gzip", "json"].iter().any(|e| claim.ends_with(e));
    !known && !claim.starts_with("text/") && !claim.starts_with("multipart/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF89a....", "image/gif"),
            (b"%PDF-1.7", "application/pdf"),
            (b"PK\x03\x04....", "application/zip"),
            (b"\x1f\x8b\x08", "application/gzip"),
            (b"\0\0\0\x20ftypisom....", "video/mp4"),
            (b"\0\x01\x02", "application/octet-stream"),
            (b"hello", "text/plain"),
        ] {
            assert_eq!(media_type(head, "x.html", Some("text/html")), expected, "{head:?}");
        }
    }

    #[test]
    fn text_takes_its_type_from_the_name_where_the_content_fits() {
        assert_eq!(media_type(b"a,b\n1,2\n", "t.CSV", None), "text/csv");
        assert_eq!(media_type(b" {\"a\":1}", "t.json", None), "application/json");
        assert_eq!(media_type(b"<p>", "t.json", None), "text/plain");
        assert_eq!(media_type("é".repeat(SNIFF_BYTES).as_bytes(), "é", None), "text/plain");
        assert_eq!(
            media_type(b"# Hi", "hi", Some("text/markdown; charset=utf-8")),
            "text/markdown"
        );
    }

    #[test]
    fn a_claim_is_kept_only_where_the_content_does_not_contradict_it() {
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        assert_eq!(media_type(b"PK\x03\x04", "a.docx", Some(docx)), docx);
        assert_eq!(media_type(b"\0\x01", "a", Some("image/png")), "application/octet-stream");
        assert_eq!(media_type(b"\0\x01", "a", Some("audio/flac")), "audio/flac");
        assert_eq!(media_type(b"\0\x01", "a", Some("x\r\n: y/z")), "application/octet-stream");
    }

    proptest! {
        #[test]
        fn nothing_that_runs_is_ever_called_by_its_name(
            head in prop_oneof![
                "<(html|svg|script|!doctype html|\\?xml)[ -~]{0,80}>".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..64),
            ],
            name in "[a-z]{0,5}\\.(html|svg|js|xhtml|txt|png)",
            claim in "(text/html|image/svg\\+xml|TEXT/HTML; a=b|application/xhtml\\+xml|text/javascript|image/png|[ -~]{0,30})",
        ) {
            let found = media_type(&head, &name, Some(&claim));
            for word in ["html", "svg", "xml", "script"] {
                prop_assert!(!found.contains(word), "{found}");
            }
            let shown = INLINE_SAFE.contains(&found.as_str());
            let raster = found.starts_with("image/");
            prop_assert!(!(shown && raster) || by_magic(&head) == Some(found.as_str()));
        }
    }
}
