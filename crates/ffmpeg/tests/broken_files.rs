//! Checks that damaged and hostile files are refused with the right error kind, and that none makes the probe
//! read another file.
#![allow(clippy::unwrap_used, reason = "tests may panic")]

use std::path::Path;

use abanico_ffmpeg::{Error, ErrorKind, Tools, probe};
use abanico_media::MediaInfo;
use abanico_testkit::{Clip, shared_media};
use tokio_util::sync::CancellationToken;

const TABLE: &[(&str, ErrorKind)] = &[
    ("corrupt_moov_header.mp4", ErrorKind::NotMedia),
    ("hls_playlist_reads_neighbour.mp4", ErrorKind::NotMedia),
    ("hls_playlist_ssrf.mp4", ErrorKind::NotMedia),
    ("random_bytes.mp4", ErrorKind::NotMedia),
    ("text_file.mp4", ErrorKind::NotMedia),
    ("truncated_in_the_middle.mp4", ErrorKind::Truncated),
    ("truncated_moov_missing.mp4", ErrorKind::Truncated),
    ("vp9_header_12336x12336.webm", ErrorKind::Unsupported),
    ("zero_bytes.mp4", ErrorKind::NotMedia),
];

async fn probed(file: &Path) -> Result<MediaInfo, Error> {
    probe(&Tools::find(None, None).unwrap(), file, &CancellationToken::new()).await
}

async fn refusal(file: &Path) -> Error {
    match probed(file).await {
        Ok(info) => panic!("`{}` was accepted: {info:?}", file.display()),
        Err(error) => error,
    }
}

#[tokio::test]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn broken_files_are_refused_with_right_kind() {
    let media = shared_media().unwrap();
    for (name, kind) in TABLE {
        let error = refusal(&media.join("broken").join(name)).await;
        assert_eq!(error.kind(), *kind, "{name}: {error}");
        assert!(error.to_string().contains(name) && !error.is_retryable(), "{error}");
    }
    let files = std::fs::read_dir(media.join("broken")).unwrap().count();
    // The one file that is not in the table has audio only, which counts as media.
    assert_eq!(files, TABLE.len() + 1, "a file is not in the table");
}

/// Ways to damage a two-second clip: file name, function that damages the clip's bytes, and expected error kind.
type Damage = (&'static str, fn(Vec<u8>) -> Vec<u8>, ErrorKind);

const DAMAGES: &[Damage] = &[
    ("empty.mp4", |_| Vec::new(), ErrorKind::NotMedia),
    ("text.mp4", |_| b"not a film\n".repeat(99), ErrorKind::NotMedia),
    (
        "noise.mp4",
        |bytes| bytes.iter().map(|byte| byte.wrapping_mul(151) ^ 0x5a).collect(),
        ErrorKind::NotMedia,
    ),
    ("index_is_gone.mp4", |bytes| bytes[..bytes.len() / 2].to_vec(), ErrorKind::Truncated),
    ("headers_overwritten.mp4", without_codecs, ErrorKind::NotMedia),
];

/// Overwrites the names of the boxes that contain the codecs.
fn without_codecs(mut bytes: Vec<u8>) -> Vec<u8> {
    while let Some(at) = bytes.windows(4).position(|word| word == b"minf") {
        bytes[at] = 0xf8;
    }
    bytes
}

#[tokio::test]
async fn each_generated_damage_is_refused_with_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.mp4");
    Clip::default().write(&whole);
    for (name, damage, kind) in DAMAGES {
        let file = folder.path().join(name);
        std::fs::write(&file, damage(std::fs::read(&whole).unwrap())).unwrap();
        let error = refusal(&file).await;
        assert_eq!(error.kind(), *kind, "{name}: {error}");
        assert!(error.to_string().contains(name) && !error.is_retryable(), "{error}");
    }
}

#[tokio::test]
async fn huge_picture_is_refused_by_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("huge.webm");
    let coded = ["-c:v", "libvpx-vp9", "-deadline", "realtime"];
    Clip { width: 320, height: 320, frames: 3, sound: None, ..Clip::default() }
        .with_options(&coded)
        .write(&file);
    let mut bytes = std::fs::read(&file).unwrap();
    // Matroska's elements for width and height, two bytes each.
    for element in [0xb0, 0xba] {
        let at = bytes.windows(4).position(|word| word == [element, 0x82, 0x01, 0x40]).unwrap();
        bytes[at + 2..at + 4].copy_from_slice(&12_336_u16.to_be_bytes());
    }
    // The decoder would read the true size from the frames, so the first frame is destroyed.
    let frame = bytes.windows(3).position(|word| word == [0x49, 0x83, 0x42]).unwrap();
    bytes[frame] = 0;
    std::fs::write(&file, bytes).unwrap();
    let error = refusal(&file).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("12336x12336"), "{error}");
}

#[tokio::test]
async fn files_that_name_other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    Clip { frames: 5, ..Clip::default() }.write(&clip);
    let cases = [
        ("list.mp4", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("talk.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
        ("page.mpd", "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"></MPD>"),
    ];
    for (name, text) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        assert_eq!(refusal(&file).await.kind(), ErrorKind::NotMedia, "{name}");
    }
    assert_eq!(probed(&clip).await.unwrap().video.unwrap().frames, 5);
}

#[tokio::test]
async fn truncated_upload_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole.mp4", "cut.mp4"].map(|name| folder.path().join(name));
    Clip::default().with_options(&["-movflags", "+faststart"]).write(&whole);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    assert_eq!(probed(&whole).await.unwrap().video.unwrap().frames, 50);
    let error = refusal(&cut).await;
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert!(error.to_string().contains("promises 50 frames"), "{error}");
}

#[tokio::test]
async fn cover_art_is_not_video() {
    let folder = tempfile::tempdir().unwrap();
    let [clip, cover, song] = ["clip.mp4", "cover.png", "song.m4a"].map(|name| folder.path().join(name));
    Clip { frames: 10, ..Clip::default() }.write(&clip);
    let ffmpeg = |args: &[&std::ffi::OsStr]| {
        let status =
            std::process::Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(args).status();
        assert!(status.unwrap().success());
    };
    let word = std::ffi::OsStr::new;
    ffmpeg(&[word("-i"), clip.as_ref(), word("-frames:v"), word("1"), cover.as_ref()]);
    let picture =
        ["-map", "1:a", "-map", "0:v", "-c", "copy", "-disposition:v", "attached_pic", "-f", "mp4"].map(word);
    ffmpeg(
        &[&[word("-i"), cover.as_ref(), word("-i"), clip.as_ref()], &picture[..], &[song.as_ref()]].concat(),
    );
    let info = probed(&song).await.unwrap();
    assert!(info.video.is_none() && info.audio.len() == 1, "cover art is not video: {info:?}");
}

#[tokio::test]
async fn missing_file_is_an_io_error() {
    assert_eq!(refusal(Path::new("/no/such/file.mp4")).await.kind(), ErrorKind::Io);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(refusal(folder.path()).await.kind(), ErrorKind::NotMedia);
}

#[tokio::test]
async fn cancelled_probe_returns_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    Clip { frames: 5, ..Clip::default() }.write(&clip);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result = probe(&Tools::find(None, None).unwrap(), &clip, &cancel).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}
