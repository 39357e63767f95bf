//! From a file's bytes to pixels that stand upright.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use super::{Encoding, PIXELS_MAX};

/// A decoder may need this much beside the pixels, in bytes.
const DECODER_BYTES_MAX: u64 = 1 << 30;
/// Colour profiles above this are dropped, in bytes.
const PROFILE_BYTES_MAX: usize = 1 << 20;

/// A decoded photo.
pub struct Photo {
    /// Pixels, upright, 8 bits: RGB or RGBA.
    pub pixels: DynamicImage,
    /// What it was.
    pub encoding: Encoding,
    /// Its colour profile (ICC), if it is one for RGB.
    pub profile: Option<Vec<u8>>,
}

/// Why there is none. The texts follow the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No photo, or a broken one.
    #[error("{0}")]
    Unreadable(String),
    /// Too many pixels.
    #[error("{0}")]
    TooLarge(String),
}

/// Decodes a JPEG, PNG or WebP. Its size is looked at before any pixel is.
///
/// # Errors
/// If it is something else, broken, or larger than [`PIXELS_MAX`].
pub fn decode(bytes: &[u8]) -> Result<Photo, Error> {
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader = reader
        .with_guessed_format()
        .map_err(|error| Error::Unreadable(format!("cannot be read: {error}")))?;
    let Some(encoding) = reader.format().and_then(encoding_of) else {
        return Err(Error::Unreadable("is no JPEG, PNG or WebP photo".into()));
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    reader.limits(limits);
    let broken = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => Error::TooLarge("needs too much memory".into()),
        error => Error::Unreadable(format!("is broken: {error}")),
    };
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Error::TooLarge(format!(
            "has {width} × {height} pixels; 120 megapixels are the most"
        )));
    }
    if width == 0 || height == 0 {
        return Err(Error::Unreadable("has no pixels".into()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten().filter(|profile| {
        // Bytes 16 to 19 name the colours it is for: pixels become RGB here, whatever they were.
        profile.len() <= PROFILE_BYTES_MAX && profile.get(16..20) == Some(b"RGB ")
    });
    let pixels = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let mut pixels = if pixels.color().has_alpha() {
        DynamicImage::ImageRgba8(pixels.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(pixels.into_rgb8())
    };
    pixels.apply_orientation(orientation);
    Ok(Photo { pixels, encoding, profile })
}

/// Bytes of a file that say whether it is one of ours.
pub(super) const HEAD_BYTES: usize = 16;

/// Whether a file that begins with `head` says that it is a photo we decode.
pub(super) fn is_photo(head: &[u8]) -> bool {
    image::guess_format(head).is_ok_and(|format| encoding_of(format).is_some())
}

fn encoding_of(format: ImageFormat) -> Option<Encoding> {
    match format {
        ImageFormat::Jpeg => Some(Encoding::Jpeg),
        ImageFormat::Png => Some(Encoding::Png),
        ImageFormat::WebP => Some(Encoding::Webp),
        _ => None,
    }
}

/// How many pixels a photo says it has; none if it is no photo.
pub(super) fn pixels(bytes: &[u8]) -> Option<u64> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (width, height) = (self.pixels.width(), self.pixels.height());
        write!(f, "Photo({:?}, {width} × {height})", self.encoding)
    }
}
