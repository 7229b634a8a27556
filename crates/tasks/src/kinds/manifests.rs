//! The manifests step: writes the playlist and the MPD of a group from the measured facts of its streams, and lists
//! them for publishing. It starts only once all streams of the group are cut.

use std::path::Path;

use abanico_plan::{GroupManifests, ListedStream, TaskId};

use crate::failure::{self, Failure};
use crate::files::packaged_files::{PackagedFile, Turn, list, write_manifest};
use crate::kinds::segment::{HLS_TYPE, MeasuredStream, measured};
use crate::machine::workbench::Workbench;

mod dash;
mod hls;

/// MIME type of an MPD (ISO/IEC 23009-1 annex C).
const DASH_TYPE: &str = "application/dash+xml";

/// A stream and its measured facts.
struct MadeStream<'a> {
    listed: &'a ListedStream,
    measured: MeasuredStream,
}

/// Writes the manifests of a group.
pub(crate) async fn group_manifests(
    bench: &Workbench,
    task: &TaskId,
    group: &GroupManifests,
) -> Result<(), Failure> {
    let disk = |error: std::io::Error| failure::from_disk("write the group's manifests", &error);
    let folder = bench.begin(task.as_str())?;
    let streams = group
        .streams
        .iter()
        .map(|listed| Ok(MadeStream { listed, measured: measured(bench, listed.output)? }));
    let streams: Vec<MadeStream<'_>> = streams.collect::<Result<_, std::io::Error>>().map_err(disk)?;
    let files = write(group, &streams, &folder).map_err(disk)?;
    list(&folder, &files).map_err(disk)?;
    bench.complete(task.as_str()).await
}

fn write(
    group: &GroupManifests,
    streams: &[MadeStream<'_>],
    folder: &Path,
) -> std::io::Result<Vec<PackagedFile>> {
    let mut files = Vec::new();
    if let Some((url, style)) = &group.dash {
        let file = manifest("group.mpd", url, DASH_TYPE, false);
        write_manifest(folder, &file, &dash::presentation(group, style, streams).render())?;
        files.push(file);
    }
    if let Some((url, style)) = &group.hls {
        let file = manifest("multivariant.m3u8", url, HLS_TYPE, style.is_compressed);
        write_manifest(folder, &file, &hls::playlist(style, streams).render())?;
        files.push(file);
    }
    Ok(files)
}

fn manifest(name: &str, url: &str, content_type: &str, is_gzip: bool) -> PackagedFile {
    PackagedFile {
        name: name.to_owned(),
        url: url.to_owned(),
        content_type: content_type.to_owned(),
        is_gzip,
        turn: Turn::GroupPlaylist,
    }
}
