//! From pixels to fewer pixels, and to a file's bytes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeError, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, RgbImage, RgbaImage};

use super::Photo;
use super::webp;

/// How pixels are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Encoding {
    Jpeg,
    Png,
    Webp,
}

impl Encoding {
    /// The ending of its files.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

/// Why a copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// While resizing.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// While writing it down.
    #[error(transparent)]
    Encode(#[from] image::ImageError),
    /// While writing it down as WebP.
    #[error("WebP: {0}")]
    Webp(String),
}

/// A resized copy.
pub struct Copy {
    pixels: DynamicImage,
    profile: Option<Vec<u8>>,
}

impl Copy {
    /// Pixels across.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.pixels.width()
    }

    /// Pixels down.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.pixels.height()
    }
}

impl std::fmt::Debug for Copy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Copy({} × {})", self.width(), self.height())
    }
}

/// A copy whose longer edge is `edge` pixels long, or as large as the photo if that is smaller.
///
/// # Errors
/// If the pixels cannot be resized, which only wrong dimensions do.
pub fn resized(photo: &Photo, edge: u32) -> Result<Copy, Error> {
    let (width, height) = (photo.pixels.width(), photo.pixels.height());
    let longest = width.max(height);
    let profile = photo.profile.clone();
    if longest <= edge {
        return Ok(Copy { pixels: photo.pixels.clone(), profile });
    }
    let scaled = |side: u32| {
        let exact = f64::from(side) * f64::from(edge) / f64::from(longest);
        (exact.round() as u32).max(1)
    };
    let (to_width, to_height) = (scaled(width), scaled(height));
    let alpha = photo.pixels.color().has_alpha();
    let form = if alpha { PixelType::U8x4 } else { PixelType::U8x3 };
    let from = ImageRef::new(width, height, photo.pixels.as_bytes(), form)
        .expect("RGB and RGBA have 3 and 4 bytes a pixel");
    let mut to = Image::new(to_width, to_height, form);
    // By default a sharp filter (Lanczos), and colours weighted by how opaque they are.
    Resizer::new().resize(&from, &mut to, None)?;
    let bytes = to.into_vec();
    let pixels = if alpha {
        RgbaImage::from_raw(to_width, to_height, bytes).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(to_width, to_height, bytes).map(DynamicImage::from)
    };
    Ok(Copy { pixels: pixels.expect("the buffer was made for these dimensions"), profile })
}

/// Writes a copy down.
///
/// # Errors
/// If it is too large for the format.
pub fn encode(copy: &Copy, encoding: Encoding, quality: u8) -> Result<Vec<u8>, Error> {
    let Copy { pixels, profile } = copy;
    let (width, height) = (pixels.width(), pixels.height());
    let mut bytes = Vec::new();
    match encoding {
        Encoding::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            if let Some(profile) = profile {
                // A copy without its profile still shows, with colours a little off.
                let _ = encoder.set_icc_profile(profile.clone());
            }
            match pixels {
                DynamicImage::ImageRgba8(clear) => {
                    encoder.write_image(
                        &on_white(clear),
                        width,
                        height,
                        ExtendedColorType::Rgb8,
                    )?;
                }
                opaque => encoder.write_image(
                    opaque.as_bytes(),
                    width,
                    height,
                    ExtendedColorType::Rgb8,
                )?,
            }
        }
        Encoding::Png => {
            let mut encoder = PngEncoder::new(&mut bytes);
            if let Some(profile) = profile {
                let _ = encoder.set_icc_profile(profile.clone());
            }
            encoder.write_image(pixels.as_bytes(), width, height, pixels.color().into())?;
        }
        Encoding::Webp => {
            bytes = webp::encode(pixels, quality, profile.as_deref()).map_err(Error::Webp)?
        }
    }
    Ok(bytes)
}

/// The bytes of RGB for what shows through to white.
fn on_white(clear: &RgbaImage) -> Vec<u8> {
    clear
        .pixels()
        .flat_map(|pixel| {
            let [red, green, blue, alpha] = pixel.0.map(u32::from);
            [red, green, blue]
                .map(|colour| ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
        })
        .collect()
}
