//! Builds the multivariant playlist of a group. It lists each stream once, or once for each audio group that goes
//! with it.

use abanico_package::{IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo};
use abanico_plan::{ListedStream, PlaylistStyle, StreamRole};

use super::MadeStream;
use crate::kinds::segment::MeasuredStream;

/// Characteristics of renditions (RFC 8216 section 4.3.4.1; Apple's HLS authoring specification).
const DESCRIBES_VIDEO: &str = "public.accessibility.describes-video";
const TRANSCRIBES: &str =
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

/// Returns the playlist of all streams.
pub(super) fn playlist(style: &PlaylistStyle, streams: &[MadeStream<'_>]) -> MultivariantPlaylist {
    MultivariantPlaylist {
        variants: streams.iter().flat_map(|made| variants(made, streams, style.shows_resolution)).collect(),
        renditions: streams.iter().filter_map(|made| rendition(made.listed)).collect(),
        i_frame_variants: streams
            .iter()
            .filter_map(|made| i_frame_variant(made.listed, &made.measured))
            .collect(),
        base_url: style.base_url.clone(),
    }
}

/// Returns the variants of a stream: one for each audio group that goes with it, or one alone. Their bandwidth
/// includes the group's audio (RFC 8216 section 4.3.4.2).
fn variants(made: &MadeStream<'_>, all: &[MadeStream<'_>], shows_resolution: bool) -> Vec<Variant> {
    let (planned, stream) = (made.listed, &made.measured);
    let StreamRole::Variant { audio_groups } = &planned.role else { return Vec::new() };
    let alone = Variant {
        path: planned.names.playlist.clone(),
        bandwidth_bps: stream.peak_bps,
        average_bandwidth_bps: stream.average_bps,
        codecs: stream.codecs.clone(),
        video: planned.video.map(|video| VariantVideo {
            size: video.size,
            sample_aspect: video.sample_aspect,
            rate: video.rate,
        }),
        shows_resolution,
        audio_group: None,
        subtitles_group: subtitles(planned, all),
    };
    let with_group = |name: &String| {
        let sounds: Vec<&MeasuredStream> =
            all.iter().filter(|made| is_in(made.listed, name)).map(|made| &made.measured).collect();
        let most = |of: fn(&MeasuredStream) -> u64| sounds.iter().map(|sound| of(sound)).max().unwrap_or(0);
        let mut codecs = alone.codecs.clone();
        for codec in sounds.iter().flat_map(|sound| &sound.codecs) {
            if !codecs.contains(codec) {
                codecs.push(codec.clone());
            }
        }
        Variant {
            bandwidth_bps: alone.bandwidth_bps + most(|sound| sound.peak_bps),
            average_bandwidth_bps: alone.average_bandwidth_bps + most(|sound| sound.average_bps),
            codecs,
            audio_group: (!sounds.is_empty()).then(|| name.clone()),
            ..alone.clone()
        }
    };
    if audio_groups.is_empty() { vec![alone] } else { audio_groups.iter().map(with_group).collect() }
}

/// Returns the subtitles group that goes with a video stream.
fn subtitles(planned: &ListedStream, all: &[MadeStream<'_>]) -> Option<String> {
    planned.video?;
    all.iter().find_map(|made| match &made.listed.role {
        StreamRole::Subtitles { group, .. } => Some(group.clone()),
        _ => None,
    })
}

fn is_in(planned: &ListedStream, name: &str) -> bool {
    matches!(&planned.role, StreamRole::Audio { group, .. } if group == name)
}

fn rendition(planned: &ListedStream) -> Option<Rendition> {
    let path = planned.names.playlist.clone();
    let language = planned.language.clone();
    Some(match &planned.role {
        StreamRole::Variant { .. } => return None,
        StreamRole::Audio { group, name, is_default, auto_select, describes_video } => Rendition {
            kind: RenditionKind::Audio,
            group: group.clone(),
            name: name.clone(),
            language,
            is_default: *is_default,
            auto_select: *auto_select,
            characteristics: if *describes_video { DESCRIBES_VIDEO } else { "" },
            channels: (planned.channels > 0).then_some(planned.channels),
            path,
        },
        // Shown if the viewer, or the settings of the viewer's device, ask for them.
        StreamRole::Subtitles { group, name, is_accessible } => Rendition {
            kind: RenditionKind::Subtitles,
            group: group.clone(),
            name: name.clone(),
            language,
            is_default: false,
            auto_select: true,
            characteristics: if *is_accessible { TRANSCRIBES } else { "" },
            channels: None,
            path,
        },
    })
}

fn i_frame_variant(planned: &ListedStream, stream: &MeasuredStream) -> Option<IFrameVariant> {
    Some(IFrameVariant {
        path: planned.i_frames.then(|| planned.names.i_frame_playlist())?,
        bandwidth_bps: stream.i_frame_peak_bps,
        codecs: stream.codecs.iter().take(1).cloned().collect(),
        size: planned.video?.size,
    })
}
