//! The step playlist: in what was measured of a group's streams, out the playlist that lists them, listed for
//! publishing. Never before all streams of the group are cut.

use abanico_package::{IFrameVariant, MultivariantPlaylist, Variant, VariantVideo};
use abanico_plan::{HlsGroup, HlsVariant, TaskId};

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
    let mut playlist = MultivariantPlaylist { base_url: group.style.base_url.clone(), ..Default::default() };
    for planned in &group.variants {
        let stream = measured(context, planned.output).map_err(disk)?;
        playlist.i_frame_variants.extend(i_frame_variant(planned, &stream));
        playlist.variants.push(variant(planned, stream, group.style.shows_resolution));
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

fn variant(planned: &HlsVariant, stream: MeasuredStream, shows_resolution: bool) -> Variant {
    Variant {
        path: planned.playlist.clone(),
        bandwidth_bps: stream.peak_bps,
        average_bandwidth_bps: stream.average_bps,
        codecs: stream.codecs,
        video: Some(VariantVideo { size: planned.size, rate: planned.rate }),
        shows_resolution,
        audio_group: None,
        subtitles_group: None,
    }
}

fn i_frame_variant(planned: &HlsVariant, stream: &MeasuredStream) -> Option<IFrameVariant> {
    Some(IFrameVariant {
        path: planned.i_frame_playlist.clone()?,
        bandwidth_bps: stream.i_frame_peak_bps,
        codecs: stream.codecs.iter().take(1).cloned().collect(),
        size: planned.size,
    })
}
