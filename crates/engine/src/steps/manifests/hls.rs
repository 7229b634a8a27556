//! The multivariant playlist of a group: in its streams, out what players choose from.
//! Never a stream twice, but once for each group of sounds that goes with it.

use abanico_package::{IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo};
use abanico_plan::{ListedStream, PlaylistStyle, StreamRole};

use super::MadeStream;
use crate::steps::segment::MeasuredStream;

/// The playlist of all streams.
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

/// A stream as players choose it: once for each audio group that it goes with, or once alone. What the group's sound needs
/// is counted in (RFC 8216 section 4.3.4.2).
fn variants(made: &MadeStream<'_>, all: &[MadeStream<'_>], shows_resolution: bool) -> Vec<Variant> {
    let (planned, stream) = (made.listed, &made.measured);
    let StreamRole::Variant { audio_groups } = &planned.role else { return Vec::new() };
    let alone = Variant {
        path: planned.names.playlist.clone(),
        bandwidth_bps: stream.peak_bps,
        average_bandwidth_bps: stream.average_bps,
        codecs: stream.codecs.clone(),
        video: planned.video.map(|video| VariantVideo { size: video.size, rate: video.rate }),
        shows_resolution,
        audio_group: None,
        subtitles_group: None,
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

fn is_in(planned: &ListedStream, name: &str) -> bool {
    matches!(&planned.role, StreamRole::Audio { group, .. } if group == name)
}

fn rendition(planned: &ListedStream) -> Option<Rendition> {
    let StreamRole::Audio { group, name, is_default, auto_select, describes_video } = &planned.role else {
        return None;
    };
    Some(Rendition {
        kind: RenditionKind::Audio,
        group: group.clone(),
        name: name.clone(),
        language: planned.language.clone(),
        is_default: *is_default,
        auto_select: *auto_select,
        describes_video: *describes_video,
        channels: (planned.channels > 0).then_some(planned.channels),
        path: planned.names.playlist.clone(),
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
