//! `images.resize`: photos to smaller ones. Turned upright, with their colours and without what
//! else a camera writes into them, like the place. What cannot be a photo is refused before it is
//! decoded.

mod decode;
mod encode;
mod webp;

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tasktonic_files::Content;
use tasktonic_worker::{Context, Failure, Handler, KindInfo};
use tokio::sync::Semaphore;

use crate::blocking::blocking;
use crate::file::{self, FileOut, FileRef, OUTPUT_BYTES_MAX};

pub use decode::{Photo, decode};
pub use encode::{Encoding, encode, resized};

/// The kind.
pub const KIND: &str = "images.resize";
/// Photos of one task.
pub const PHOTOS_MAX: u64 = 500;
/// Sizes of one task.
pub const SIZES_MAX: u64 = 8;
/// Largest edge asked for, in pixels.
pub const EDGE_MAX: u32 = 8_192;
/// Largest file of one photo, in bytes.
pub const PHOTO_BYTES_MAX: u64 = 100 << 20;
/// Most pixels of one photo: 120 million, which take 480 MB while they are worked on.
pub const PIXELS_MAX: u64 = 120_000_000;
/// Pixels that all attempts of this process work on at once, in millions: what a large photo needs
/// is not needed twice.
pub const MEGAPIXELS_AT_ONCE_MAX: u32 = 160;
/// Files that are no photos and are named in a failure; further ones are counted.
const NAMED_MAX: usize = 3;
/// Longest part of a photo's own name in the names of its copies, in bytes.
const STEM_BYTES_MAX: usize = 160;

static MEGAPIXELS: Semaphore = Semaphore::const_new(MEGAPIXELS_AT_ONCE_MAX as usize);
const _: () =
    assert!(PIXELS_MAX / 1_000_000 <= MEGAPIXELS_AT_ONCE_MAX as u64, "the largest photo must pass");

/// The handler.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImagesResize;

/// What it is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// JPEG, PNG or WebP, up to 100 MiB and 120 megapixels each.
    #[schemars(
        title = "Photos",
        length(min = 1, max = PHOTOS_MAX),
        extend("accept" = "image/jpeg,image/png,image/webp")
    )]
    photos: Vec<FileRef>,
    /// Length of the longer edge, in pixels. A smaller photo is never enlarged.
    #[serde(default = "sizes")]
    #[schemars(title = "Sizes (px)", length(min = 1, max = SIZES_MAX), inner(range(min = 1, max = EDGE_MAX)))]
    sizes: Vec<u32>,
    /// What the copies are written as.
    #[serde(default)]
    #[schemars(title = "Format")]
    format: Format,
    /// For JPEG and WebP: 100 is best and largest.
    #[serde(default = "quality")]
    #[schemars(title = "Quality", range(min = 1, max = 100))]
    quality: u8,
}

/// What the copies are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Format {
    /// A copy is written as its photo was.
    #[default]
    #[schemars(title = "Same as the photo")]
    Same,
    /// Small; what is transparent becomes white.
    #[schemars(title = "JPEG")]
    Jpeg,
    /// Without loss, large for photos.
    #[schemars(title = "PNG")]
    Png,
    /// Smaller than JPEG.
    #[schemars(title = "WebP")]
    Webp,
}

fn sizes() -> Vec<u32> {
    vec![1_600, 400]
}

fn quality() -> u8 {
    82
}

/// The copies.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    /// Photos that were resized.
    pub photos: usize,
    /// Copies that were made; all are files of the task.
    pub copies: usize,
    /// The copies by photo, each photo's in the order of the sizes; the first ones if there are
    /// too many for an output.
    pub files: Vec<Copied>,
    /// All copies as a file, where `files` has not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<FileOut>,
}

/// A copy.
#[derive(Debug, Clone, Serialize)]
pub struct Copied {
    /// The file.
    #[serde(flatten)]
    pub file: FileOut,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

#[async_trait]
impl Handler for ImagesResize {
    type Payload = Payload;
    type Output = Output;

    fn info(&self) -> KindInfo {
        KindInfo {
            title: Some("Resize photos".into()),
            description: Some(
                "Makes smaller copies of any number of photos, turned upright. Place and camera are removed.".into(),
            ),
            example: Some(json!({ "sizes": sizes(), "format": "same", "quality": quality() })),
            ..KindInfo::new(KIND)
        }
    }

    async fn run(&self, payload: Payload, cx: &Context) -> Result<Output, Failure> {
        let total = payload.photos.len();
        check(&payload)?;
        let mut names = HashSet::new();
        let mut copies = Vec::new();
        cx.progress(0, total as u64, "photos", None);
        all_are_photos(&payload.photos, cx).await?;
        for (done, photo) in payload.photos.iter().enumerate() {
            let (meta, content) = file::open(cx, *photo).await?;
            if meta.size > PHOTO_BYTES_MAX {
                return Err(too_large(&meta.name, "has more than 100 MiB"));
            }
            let bytes = read(content, &meta.name, cx).await?;
            let made = make(bytes, meta.name.clone(), &payload, cx).await?;
            let stem = unique(&mut names, file::fitting(file::stem(&meta.name), STEM_BYTES_MAX));
            for Made { size, encoding, width, height, bytes } in made {
                stop_if_cancelled(cx)?;
                let name = format!("{stem}-{size}.{}", encoding.ending());
                copies.push(Copied { file: file::keep(cx, &name, bytes).await?, width, height });
            }
            cx.progress(done as u64 + 1, total as u64, "photos", meta.name);
        }
        output(total, copies, cx).await
    }
}

/// Refuses what is no photo before the first is worked on: whoever dropped a wrong file among
/// hundreds learns it now, and of all of them at once.
async fn all_are_photos(photos: &[FileRef], cx: &Context) -> Result<(), Failure> {
    let mut others = Vec::new();
    for photo in photos {
        let (meta, content) = file::open(cx, *photo).await?;
        if !decode::is_photo(&head(content, &meta.name, cx).await?) {
            others.push(meta.name);
        }
    }
    let (first, rest) = match others.as_slice() {
        [] => return Ok(()),
        [one] => {
            return Err(unreadable(one, "is no JPEG, PNG or WebP photo. Remove it"));
        }
        more => more.split_at(more.len().min(NAMED_MAX)),
    };
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let what = "are no JPEG, PNG or WebP photos. Remove them";
    Err(unreadable(&format!("{}{more}", first.join(", ")), what))
}

/// The first bytes of a file, at least those that say what it is.
async fn head(mut content: Content, name: &str, cx: &Context) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    while head.len() < decode::HEAD_BYTES {
        match next(&mut content, name, cx).await? {
            Some(part) => head.extend_from_slice(&part),
            None => break,
        }
    }
    Ok(head)
}

async fn next(content: &mut Content, name: &str, cx: &Context) -> Result<Option<Bytes>, Failure> {
    let next = tokio::select! {
        () = cx.cancelled() => return Err(Failure::Cancelled),
        next = content.next() => next,
    };
    next.transpose()
        .map_err(|error| Failure::attempt("file_broke_off", format!("{name} broke off: {error}")))
}

fn unreadable(who: &str, what: &str) -> Failure {
    Failure::fatal("image_unreadable", format!("{who} {what} and start a new task."))
}

/// A program may have submitted what the form does not let through.
fn check(payload: &Payload) -> Result<(), Failure> {
    let Payload { photos, sizes, quality, .. } = payload;
    let wrong = if photos.is_empty() || photos.len() as u64 > PHOTOS_MAX {
        format!("photos: give 1 to {PHOTOS_MAX}")
    } else if sizes.is_empty() || sizes.len() as u64 > SIZES_MAX {
        format!("sizes: give 1 to {SIZES_MAX}")
    } else if sizes.iter().any(|size| !(1..=EDGE_MAX).contains(size)) {
        format!("sizes: each is 1 to {EDGE_MAX} pixels")
    } else if !(1..=100).contains(quality) {
        "quality: give 1 to 100".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::fatal("payload_invalid", wrong))
}

async fn read(mut content: Content, name: &str, cx: &Context) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(part) = next(&mut content, name, cx).await? {
        bytes.extend_from_slice(&part);
        // The size that is known of it may be wrong.
        if bytes.len() as u64 > PHOTO_BYTES_MAX {
            return Err(too_large(name, "has more than 100 MiB"));
        }
    }
    Ok(bytes)
}

/// A copy that is not kept yet.
struct Made {
    size: u32,
    encoding: Encoding,
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

async fn make(
    bytes: Vec<u8>,
    name: String,
    payload: &Payload,
    cx: &Context,
) -> Result<Vec<Made>, Failure> {
    let (sizes, format, quality) = (unique_sizes(&payload.sizes), payload.format, payload.quality);
    // What is no photo or too large is refused by the decoder, before it takes any memory.
    let megapixels = decode::pixels(&bytes).unwrap_or(0).min(PIXELS_MAX) / 1_000_000 + 1;
    let megapixels = u32::try_from(megapixels).unwrap_or(1).min(MEGAPIXELS_AT_ONCE_MAX);
    let room = tokio::select! {
        () = cx.cancelled() => return Err(Failure::Cancelled),
        room = MEGAPIXELS.acquire_many(megapixels) => room.expect("nobody closes it"),
    };
    let cx = cx.clone();
    blocking(move || {
        let _room = room;
        stop_if_cancelled(&cx)?;
        let photo = decode(&bytes).map_err(|why| match why {
            decode::Error::TooLarge(why) => too_large(&name, &why),
            decode::Error::Unreadable(why) => unreadable(&name, &format!("{why}. Remove it")),
        })?;
        drop(bytes);
        let encoding = match format {
            Format::Same => photo.encoding,
            Format::Jpeg => Encoding::Jpeg,
            Format::Png => Encoding::Png,
            Format::Webp => Encoding::Webp,
        };
        let failed = |error: encode::Error| {
            Failure::fatal("image_unwritable", format!("{name} could not be resized: {error}"))
        };
        let mut made = Vec::new();
        for size in sizes {
            stop_if_cancelled(&cx)?;
            let small = resized(&photo, size).map_err(failed)?;
            let bytes = encode(&small, encoding, quality).map_err(failed)?;
            made.push(Made { size, encoding, width: small.width(), height: small.height(), bytes });
        }
        Ok(made)
    })
    .await
}

fn too_large(name: &str, why: &str) -> Failure {
    Failure::fatal(
        "image_too_large",
        format!("{name} {why}. Remove it or make it smaller, and start a new task."),
    )
}

fn stop_if_cancelled(cx: &Context) -> Result<(), Failure> {
    if cx.is_cancelled() { Err(Failure::Cancelled) } else { Ok(()) }
}

fn unique_sizes(sizes: &[u32]) -> Vec<u32> {
    let mut seen = HashSet::new();
    sizes.iter().copied().filter(|size| seen.insert(*size)).collect()
}

/// Two photos may have one name; their copies may not.
fn unique(taken: &mut HashSet<String>, stem: &str) -> String {
    let stem = if stem.is_empty() { "photo" } else { stem };
    let mut name = stem.to_owned();
    let mut count = 1;
    while !taken.insert(name.to_lowercase()) {
        count += 1;
        name = format!("{stem} ({count})");
    }
    name
}

async fn output(photos: usize, files: Vec<Copied>, cx: &Context) -> Result<Output, Failure> {
    let mut output = Output { photos, copies: files.len(), files, list: None };
    let whole = serde_json::to_vec(&output)?;
    if whole.len() > OUTPUT_BYTES_MAX {
        output.list = Some(file::keep(cx, "copies.json", whole).await?);
        let mut left = OUTPUT_BYTES_MAX - serde_json::to_vec(&output.list)?.len() - 100;
        let mut fitting = 0;
        for copied in &output.files {
            let size = serde_json::to_vec(copied)?.len() + 1;
            if size > left {
                break;
            }
            left -= size;
            fitting += 1;
        }
        output.files.truncate(fitting);
    }
    Ok(output)
}
