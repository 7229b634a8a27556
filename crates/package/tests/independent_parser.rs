//! Checks that another implementation, `m3u8-rs`, reads our playlists as intended.

use abanico_media::{ExactTime, FrameRate, Rational, Size};
use abanico_package::{
    ByteRange, MediaPlaylist, MediaSegment, MultivariantPlaylist, Rendition, RenditionKind, Variant,
    VariantVideo,
};

fn ntsc() -> FrameRate {
    FrameRate::new(24000, 1001).expect("the rate is above zero")
}

/// Seven segments: six of 144 frames, then one of 136.
fn segments() -> Vec<MediaSegment> {
    let mut offset_bytes = 0;
    let made = [144, 144, 144, 144, 144, 144, 136].map(|frames| {
        let duration = ExactTime::of_frames(frames, ntsc());
        let byte_range = Some(ByteRange { offset_bytes, length_bytes: 1880 });
        offset_bytes += 1880;
        MediaSegment { path: "film ä.ts".to_owned(), byte_range, duration }
    });
    made.into()
}

#[test]
fn media_playlist_survives_another_parser() {
    let text = MediaPlaylist::new(segments()).render();
    let (rest, playlist) = m3u8_rs::parse_media_playlist(text.as_bytes()).unwrap();
    assert!(rest.is_empty());
    assert!(playlist.end_list);
    assert_eq!(playlist.segments.len(), 7);
    assert!(playlist.segments.iter().all(|one| f64::from(one.duration) <= playlist.target_duration as f64));
    let second = &playlist.segments[1];
    assert_eq!(second.uri, "film%20%C3%A4.ts");
    assert_eq!(
        second.byte_range.as_ref().map(|range| (range.length, range.offset)),
        Some((1880, Some(1880)))
    );
    let total: f32 = playlist.segments.iter().map(|one| one.duration).sum();
    assert!((total - 1000.0 * 1001.0 / 24000.0).abs() < 0.001, "{total}");
}

#[test]
fn multivariant_playlist_survives_another_parser() {
    let text = MultivariantPlaylist {
        variants: vec![Variant {
            path: "v.m3u8".to_owned(),
            bandwidth_bps: 900_000,
            average_bandwidth_bps: 800_000,
            codecs: vec!["avc1.4d401e".to_owned()],
            video: Some(VariantVideo {
                size: Size { width: 640, height: 360 },
                sample_aspect: Rational::ONE,
                rate: ntsc(),
            }),
            shows_resolution: true,
            audio_group: Some("a".to_owned()),
            subtitles_group: None,
        }],
        renditions: vec![Rendition {
            kind: RenditionKind::Audio,
            group: "a".to_owned(),
            name: "main".to_owned(),
            language: None,
            is_default: true,
            auto_select: true,
            characteristics: "",
            channels: Some(6),
            path: "a.m3u8".to_owned(),
        }],
        ..MultivariantPlaylist::default()
    }
    .render();
    let (_, playlist) = m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap();
    assert!(playlist.independent_segments);
    let variant = &playlist.variants[0];
    assert_eq!((variant.bandwidth, variant.average_bandwidth), (900_000, Some(800_000)));
    assert_eq!(variant.resolution.map(|size| (size.width, size.height)), Some((640, 360)));
    assert_eq!(variant.frame_rate, Some(23.976));
    assert_eq!(variant.audio.as_deref(), Some("a"));
    assert_eq!(playlist.alternatives[0].channels.as_deref(), Some("6"));
}
