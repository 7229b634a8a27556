//! The step playlist: in what was measured of a group's streams, out the playlist that lists them, listed for
//! publishing. Never before all streams of the group are cut.

use abanico_package::{IFrameVariant, MultivariantPlaylist, Rendition, RenditionKind, Variant, VariantVideo};
use abanico_plan::{HlsGroup, HlsRole, HlsVariant, TaskId};

use super::JobContext;
use super::encode::{begin, complete};
use super::packaged_files::{PackagedFile, Turn, list};
use super::segment::{MeasuredStream, PLAYLIST_TYPE, measured};
use crate::failure;
use crate::job_machine::Failure;

/// Name of the playlist in the task's folder.
const PLAYLIST: &str = "multivariant.m3u8";

/// Writes the playlist of a group.
pub(crate) fn group_playlist(context: &JobContext, task: &TaskId, group: &HlsGroup) -> Result<(), Failure> {
    let disk = |error: std::io::Error| failure::from_disk("write the group's playlist", &error);
    let folder = begin(context, task)?;
    let mut streams = Vec::with_capacity(group.variants.len());
    let mut playlist = MultivariantPlaylist { base_url: group.style.base_url.clone(), ..Default::default() };
    for planned in &group.variants {
        let stream = measured(context, planned.output).map_err(disk)?;
        playlist.i_frame_variants.extend(i_frame_variant(planned, &stream));
        streams.push((planned, stream));
    }
    playlist.renditions = streams.iter().filter_map(|(planned, _)| rendition(planned)).collect();
    for (planned, stream) in &streams {
        playlist.variants.extend(variants(planned, stream, &streams, group.style.shows_resolution));
    }
    std::fs::write(folder.join(PLAYLIST), playlist.render()).map_err(disk)?;
    let file = PackagedFile {
        name: PLAYLIST.to_owned(),
        url: group.url.clone(),
        content_type: PLAYLIST_TYPE.to_owned(),
        turn: Turn::GroupPlaylist,
    };
    list(&folder, &[file]).map_err(disk)?;
    complete(context, task)
}

/// A stream as players choose it: once for each audio group that it goes with, or once alone. What the group's sound needs
/// is counted in (RFC 8216 section 4.3.4.2).
fn variants(
    planned: &HlsVariant,
    stream: &MeasuredStream,
    all: &[(&HlsVariant, MeasuredStream)],
    shows_resolution: bool,
) -> Vec<Variant> {
    let HlsRole::Variant { audio_groups } = &planned.role else { return Vec::new() };
    let alone = Variant {
        path: planned.playlist.clone(),
        bandwidth_bps: stream.peak_bps,
        average_bandwidth_bps: stream.average_bps,
        codecs: stream.codecs.clone(),
        video: planned.video.map(|(size, rate)| VariantVideo { size, rate }),
        shows_resolution,
        audio_group: None,
        subtitles_group: None,
    };
    let with_group = |name: &String| {
        let sounds: Vec<&MeasuredStream> =
            all.iter().filter(|(other, _)| is_in(other, name)).map(|(_, sound)| sound).collect();
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

fn is_in(planned: &HlsVariant, name: &str) -> bool {
    matches!(&planned.role, HlsRole::Audio { group, .. } if group == name)
}

fn rendition(planned: &HlsVariant) -> Option<Rendition> {
    let HlsRole::Audio { group, name, is_default, auto_select, describes_video } = &planned.role else {
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
        path: planned.playlist.clone(),
    })
}

fn i_frame_variant(planned: &HlsVariant, stream: &MeasuredStream) -> Option<IFrameVariant> {
    Some(IFrameVariant {
        path: planned.i_frame_playlist.clone()?,
        bandwidth_bps: stream.i_frame_peak_bps,
        codecs: stream.codecs.iter().take(1).cloned().collect(),
        size: planned.video?.0,
    })
}
