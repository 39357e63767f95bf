//! How fast photos are resized: `cargo run --release --example resize -- PHOTO… `. Each is decoded,
//! made 1600 and 400 pixels long and encoded again, on one thread; nothing is written. Without a
//! photo it makes one of 12 megapixels.

use std::time::Instant;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use tasktonic_handlers::images::{Encoding, decode, encode, resized};

/// Longest edges of the copies.
const SIZES: [u32; 2] = [1_600, 400];
/// Rounds over all photos.
const ROUNDS: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut photos = Vec::new();
    for path in std::env::args_os().skip(1) {
        photos.push(std::fs::read(path)?);
    }
    if photos.is_empty() {
        photos.push(photo()?);
    }
    for encoding in [Encoding::Jpeg, Encoding::Webp, Encoding::Png] {
        let since = Instant::now();
        for _ in 0..ROUNDS {
            for bytes in &photos {
                let photo = decode(bytes)?;
                for size in SIZES {
                    encode(&resized(&photo, size)?, encoding, 82)?;
                }
            }
        }
        let each = since.elapsed().as_secs_f64() / (ROUNDS * photos.len()) as f64;
        println!("to {encoding:?}: {:.1} photos/s, {:.0} ms each", 1.0 / each, each * 1e3);
    }
    Ok(())
}

/// Something with edges, gradients and noise, like a photo.
fn photo() -> Result<Vec<u8>, image::ImageError> {
    let pixels = RgbImage::from_fn(4_000, 3_000, |x, y| {
        let noise = ((x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 24) as u8 / 16;
        let edge = if (x / 97 + y / 61) % 2 == 0 { 60 } else { 0 };
        Rgb([(x / 20) as u8 + noise, (y / 16) as u8 / 2 + edge, noise * 4 + edge])
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&pixels)?;
    Ok(bytes)
}
