//! WebP with loss, by libwebp, and the container around it that holds a colour profile.

use image::DynamicImage;

/// Longest edge of a WebP, in pixels: a limit of the format.
const EDGE_MAX: u32 = 16_383;
/// Flags of the `VP8X` chunk.
const HAS_PROFILE: u8 = 0x20;
const HAS_ALPHA: u8 = 0x10;

pub(super) fn encode(
    pixels: &DynamicImage,
    quality: u8,
    profile: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    let (width, height) = (pixels.width(), pixels.height());
    if width.max(height) > EDGE_MAX {
        return Err(format!(
            "an edge has at most {EDGE_MAX} pixels; this one has {}",
            width.max(height)
        ));
    }
    let alpha = pixels.color().has_alpha();
    let encoder = if alpha {
        webp::Encoder::from_rgba(pixels.as_bytes(), width, height)
    } else {
        webp::Encoder::from_rgb(pixels.as_bytes(), width, height)
    };
    let plain =
        encoder.encode_simple(false, f32::from(quality)).map_err(|error| format!("{error:?}"))?;
    Ok(match profile {
        Some(profile) => with_profile(&plain, width, height, alpha, profile),
        None => plain.to_vec(),
    })
}

/// Puts the image into an extended container: `VP8X`, then the profile, then the image.
fn with_profile(plain: &[u8], width: u32, height: u32, alpha: bool, profile: &[u8]) -> Vec<u8> {
    let mut header = vec![HAS_PROFILE | if alpha { HAS_ALPHA } else { 0 }, 0, 0, 0];
    header.extend_from_slice(&(width - 1).to_le_bytes()[..3]);
    header.extend_from_slice(&(height - 1).to_le_bytes()[..3]);
    let mut chunks = Vec::with_capacity(plain.len() + profile.len() + 64);
    push(&mut chunks, *b"VP8X", &header);
    push(&mut chunks, *b"ICCP", profile);
    let mut rest = plain.get(12..).unwrap_or_default();
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        let (name, size) =
            ([head[0], head[1], head[2], head[3]], [head[4], head[5], head[6], head[7]]);
        let size = (u32::from_le_bytes(size) as usize).min(tail.len());
        if name != *b"VP8X" {
            push(&mut chunks, name, &tail[..size]);
        }
        rest = tail.get(size + size % 2..).unwrap_or_default();
    }
    let mut file = Vec::with_capacity(chunks.len() + 12);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(chunks.len() as u32 + 4).to_le_bytes());
    file.extend_from_slice(b"WEBP");
    file.append(&mut chunks);
    file
}

fn push(into: &mut Vec<u8>, name: [u8; 4], chunk: &[u8]) {
    into.extend_from_slice(&name);
    into.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    into.extend_from_slice(chunk);
    if chunk.len() % 2 == 1 {
        into.push(0);
    }
}
