//! `images.resize` with photos made here.

use std::io::Cursor;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder as _, ImageEncoder as _, ImageFormat,
    ImageReader, Rgb, RgbImage, Rgba, RgbaImage,
};
use serde_json::{Value, json};
use tasktonic_handlers::ImagesResize;
use tasktonic_worker::Failure;
use tasktonic_worker::testing::{Attempt, Ran};

use crate::common::{MemoryFiles, final_code};

const RED: [u8; 3] = [220, 20, 20];
const GREEN: [u8; 3] = [20, 200, 20];
const BLUE: [u8; 3] = [20, 20, 220];
const WHITE: [u8; 3] = [250, 250, 250];

/// A photo with another colour in each corner: red, green; blue, white.
fn corners(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

fn jpeg(photo: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(photo).unwrap();
    bytes
}

fn png(photo: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    photo.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// Puts an EXIF segment with an orientation behind the start of a JPEG.
fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend_from_slice(&[0xFF, 0xE1]);
    bytes.extend_from_slice(&(exif.len() as u16 + 2).to_be_bytes());
    bytes.extend_from_slice(&exif);
    bytes.extend_from_slice(&jpeg[2..]);
    bytes
}

/// Where the pixel of column `x` and row `y` is seen, in words of the EXIF standard: at which sides
/// the first row and the first column are.
fn seen_at(orientation: u8, x: u32, y: u32, seen_width: u32, seen_height: u32) -> (u32, u32) {
    let (right, bottom) = (seen_width - 1, seen_height - 1);
    match orientation {
        1 => (x, y),
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (right - y, x),
        7 => (right - y, bottom - x),
        8 => (y, bottom - x),
        _ => unreachable!(),
    }
}

async fn resize(files: &Arc<MemoryFiles>, payload: Value) -> Ran {
    Attempt::new(payload).files(files.clone()).run(&ImagesResize).await
}

fn made(files: &MemoryFiles, file: &Value) -> DynamicImage {
    let bytes = files.bytes(file["file"].as_str().unwrap());
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().unwrap();
    reader.decode().unwrap()
}

#[track_caller]
fn assert_near(found: &DynamicImage, x: u32, y: u32, expected: [u8; 3], what: &str) {
    let pixel = found.to_rgb8().get_pixel(x, y).0;
    let off = pixel.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
    assert!(off < 30, "{what}: {pixel:?} at {x},{y}, not {expected:?}");
}

#[track_caller]
fn assert_corners(found: &DynamicImage, what: &str) {
    let (w, h) = (found.width(), found.height());
    for (x, y, colour) in [
        (w / 4, h / 4, RED),
        (w * 3 / 4, h / 4, GREEN),
        (w / 4, h * 3 / 4, BLUE),
        (w * 3 / 4, h * 3 / 4, WHITE),
    ] {
        assert_near(found, x, y, colour, what);
    }
}

#[tokio::test]
async fn all_eight_orientations_come_out_upright() {
    let upright = corners(160, 96);
    for orientation in 1..=8 {
        let (width, height) = if orientation < 5 { (160, 96) } else { (96, 160) };
        let stored = RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = seen_at(orientation, x, y, 160, 96);
            *upright.get_pixel(x, y)
        });
        let files = MemoryFiles::new();
        let photo = files.put("a.jpg", oriented(&jpeg(&stored), orientation));
        let output =
            resize(&files, json!({ "photos": [photo], "sizes": [80, 400] })).await.output();
        let what = format!("orientation {orientation}");
        for (file, width, height) in [(&output["files"][0], 80, 48), (&output["files"][1], 160, 96)]
        {
            let found = made(&files, file);
            assert_eq!((found.width(), found.height()), (width, height), "{what}");
            assert_eq!((&file["width"], &file["height"]), (&json!(width), &json!(height)));
            assert_corners(&found, &what);
            // What the camera wrote is gone, or it would be turned once more.
            let bytes = files.bytes(file["file"].as_str().unwrap());
            assert!(!bytes.windows(4).any(|part| part == b"Exif"));
        }
    }
}

#[tokio::test]
async fn the_defaults_make_two_copies_named_by_their_size_in_the_photos_format() {
    let files = MemoryFiles::new();
    let jpg = files.put("My cat.JPG", jpeg(&corners(2_000, 1_000)));
    let png = files.put("plan.png", png(&corners(30, 500).into()));
    let ran = resize(&files, json!({ "photos": [jpg, png] })).await;
    let output = ran.output();
    let files_of = |n: usize| output["files"][n].clone();
    let names: Vec<_> = (0..4).map(|n| files_of(n)["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["My cat-1600.jpg", "My cat-400.jpg", "plan-1600.png", "plan-400.png"]);
    let sizes: Vec<_> =
        (0..4).map(|n| made(&files, &files_of(n))).map(|p| (p.width(), p.height())).collect();
    assert_eq!(sizes, [(1_600, 800), (400, 200), (30, 500), (24, 400)]);
    assert_eq!((&output["photos"], &output["copies"]), (&json!(2), &json!(4)));
    let told: Vec<_> = ran.progress.iter().map(|p| (p.done, p.total)).collect();
    assert_eq!(told, [(0, 2), (1, 2), (2, 2)]);
    assert_eq!(ran.progress[1].unit.as_deref(), Some("photos"));
}

#[tokio::test]
async fn every_format_becomes_every_other_and_shows_the_same() {
    let photo = corners(200, 120);
    let files = MemoryFiles::new();
    let webp = webp::Encoder::from_rgb(&photo, 200, 120).encode(90.0).to_vec();
    for (name, bytes) in
        [("a.jpg", jpeg(&photo)), ("a.png", png(&photo.clone().into())), ("a.webp", webp)]
    {
        let id = files.put(name, bytes);
        for (format, ending, guessed) in [
            ("jpeg", "jpg", ImageFormat::Jpeg),
            ("png", "png", ImageFormat::Png),
            ("webp", "webp", ImageFormat::WebP),
        ] {
            let output = resize(
                &files,
                json!({ "photos": [id], "sizes": [100], "format": format, "quality": 90 }),
            )
            .await
            .output();
            let file = &output["files"][0];
            assert_eq!(file["name"], format!("a-100.{ending}"));
            let bytes = files.bytes(file["file"].as_str().unwrap());
            assert_eq!(image::guess_format(&bytes).unwrap(), guessed);
            assert_corners(&made(&files, file), &format!("{name} as {format}"));
        }
    }
}

#[tokio::test]
async fn what_is_transparent_stays_so_or_becomes_white() {
    // Black but invisible on the left, so that a careless filter would show black.
    let photo = RgbaImage::from_fn(200, 100, |x, _| {
        if x < 100 { Rgba([0, 0, 0, 0]) } else { Rgba([220, 20, 20, 255]) }
    });
    let files = MemoryFiles::new();
    let id = files.put("a.png", png(&photo.into()));
    for (format, clear) in [("png", true), ("webp", true), ("jpeg", false)] {
        let output = resize(
            &files,
            json!({ "photos": [id], "sizes": [100], "format": format, "quality": 95 }),
        )
        .await
        .output();
        let found = made(&files, &output["files"][0]);
        if clear {
            assert_eq!(found.to_rgba8().get_pixel(10, 25).0[3], 0, "{format}");
            assert_eq!(found.to_rgba8().get_pixel(90, 25).0[3], 255, "{format}");
        } else {
            assert_near(&found, 10, 25, [255, 255, 255], format);
        }
        assert_near(&found, 90, 25, RED, format);
    }
}

#[tokio::test]
async fn the_colour_profile_goes_along() {
    let mut profile = vec![7; 128];
    profile[16..20].copy_from_slice(b"RGB ");
    let photo = corners(60, 40);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.write_image(&photo, 60, 40, ExtendedColorType::Rgb8).unwrap();
    let files = MemoryFiles::new();
    let id = files.put("a.png", bytes);
    for format in ["jpeg", "png", "webp"] {
        let output = resize(&files, json!({ "photos": [id], "sizes": [30], "format": format }))
            .await
            .output();
        let bytes = files.bytes(output["files"][0]["file"].as_str().unwrap());
        let mut decoder = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()
            .unwrap()
            .into_decoder()
            .unwrap();
        assert_eq!(decoder.icc_profile().unwrap().as_ref(), Some(&profile), "{format}");
        assert_corners(&made(&files, &output["files"][0]), format);
    }
}

/// A PNG that says it has so many pixels and has none.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 6, 0, 0, 0]);
    let mut crc = !0_u32;
    for byte in &header {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0D".to_vec();
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&(!crc).to_be_bytes());
    // The beginning of a chunk of pixels, so that a decoder is satisfied with the header.
    bytes.extend_from_slice(b"\0\0\x10\0IDAT");
    bytes.extend_from_slice(&[0; 4_096]);
    bytes
}

#[tokio::test]
async fn a_bad_photo_ends_the_task_with_its_name() {
    let whole = png(&corners(300, 300).into());
    for (name, bytes, code, word) in [
        ("notes.jpg", b"these are words".to_vec(), "image_unreadable", "no JPEG, PNG or WebP"),
        ("empty.png", Vec::new(), "image_unreadable", "no JPEG, PNG or WebP"),
        ("half.png", whole[..whole.len() / 2].to_vec(), "image_unreadable", "is broken"),
        (
            "anim.gif",
            b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(),
            "image_unreadable",
            "no JPEG, PNG or WebP",
        ),
        ("bomb.png", bomb(60_000, 60_000), "image_too_large", "60000 × 60000"),
        ("long.png", bomb(4_000_000, 31), "image_too_large", "4000000 × 31"),
    ] {
        let files = MemoryFiles::new();
        let good = files.put("good.jpg", jpeg(&corners(40, 40)));
        let bad = files.put(name, bytes);
        let ran = resize(&files, json!({ "photos": [good, bad], "sizes": [20] })).await;
        let (found, message) = final_code(&ran);
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(name) && message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn files_that_are_no_photos_are_named_together_before_any_is_resized() {
    let files = MemoryFiles::new();
    let mut photos = vec![files.put("good.jpg", jpeg(&corners(40, 40)))];
    for name in ["people.csv", "notes.txt", "song.mp3", "plan.pdf"] {
        photos.push(files.put(name, "name,age\nana,30\n"));
    }
    let ran = resize(&files, json!({ "photos": photos, "sizes": [20] })).await;
    assert_eq!(
        final_code(&ran),
        (
            "image_unreadable",
            "people.csv, notes.txt, song.mp3 and 1 more are no JPEG, PNG or WebP photos. Remove \
             them and start a new task."
        )
    );
    assert_eq!(files.count(), photos.len(), "no copy was made");
    let ran = resize(&files, json!({ "photos": [&photos[0], &photos[1]], "sizes": [20] })).await;
    let (_, message) = final_code(&ran);
    assert_eq!(
        message,
        "people.csv is no JPEG, PNG or WebP photo. Remove it and start a new task."
    );
}

#[tokio::test]
async fn photos_of_one_name_have_copies_of_different_names() {
    let files = MemoryFiles::new();
    let photos: Vec<_> = ["a.jpg", "A.png", "x/a.jpg"]
        .into_iter()
        .map(|name| files.put(name, jpeg(&corners(8, 8))))
        .collect();
    let output = resize(&files, json!({ "photos": photos, "sizes": [4, 4] })).await.output();
    let names: Vec<_> =
        output["files"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a-4.jpg", "A (2)-4.jpg", "a (3)-4.jpg"]);
}

#[tokio::test]
async fn the_output_of_five_hundred_photos_fits_and_the_list_has_them_all() {
    let files = MemoryFiles::new();
    let photo = files.put("a photo with a name of some length.jpg", jpeg(&corners(8, 8)));
    let ran = resize(&files, json!({ "photos": vec![photo; 500], "sizes": [4, 2] })).await;
    let output = ran.output();
    assert!(output.to_string().len() < 64 * 1024);
    assert!(output["files"].as_array().unwrap().len() > 300);
    assert_eq!(output["copies"], 1_000);
    let list: Value =
        serde_json::from_slice(&files.bytes(output["list"]["file"].as_str().unwrap())).unwrap();
    assert_eq!(list["files"].as_array().unwrap().len(), 1_000);
    assert_eq!(files.count(), 1 + 1_000 + 1);
}

#[tokio::test]
async fn what_the_form_would_not_let_through_is_refused() {
    let photo = "A".repeat(22);
    for payload in [
        json!({ "photos": [] }),
        json!({ "photos": vec![&photo; 501] }),
        json!({ "photos": [photo], "sizes": [] }),
        json!({ "photos": [photo], "sizes": [0] }),
        json!({ "photos": [photo], "sizes": [8_193] }),
        json!({ "photos": [photo], "quality": 0 }),
    ] {
        let validator = jsonschema::validator_for(
            &schemars::schema_for!(<ImagesResize as tasktonic_worker::Handler>::Payload).to_value(),
        )
        .unwrap();
        assert!(!validator.is_valid(&payload), "the schema lets {payload} through");
        assert_eq!(final_code(&resize(&MemoryFiles::new(), payload).await).0, "payload_invalid");
    }
}

#[tokio::test]
async fn it_stops_between_photos_when_cancelled() {
    let files = MemoryFiles::new();
    let photo = files.put("a.jpg", jpeg(&corners(64, 64)));
    let attempt =
        Attempt::new(json!({ "photos": vec![photo; 500], "sizes": [32] })).files(files.clone());
    let (stop, seen) = (attempt.cancel_token(), attempt.clone());
    let (ran, ()) = tokio::join!(attempt.run(&ImagesResize), async {
        while seen.progress_so_far().len() < 3 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    assert_eq!(ran.failure(), &Failure::Cancelled);
    assert!(files.count() < 500, "{}", files.count());
}
