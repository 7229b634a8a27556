//! Reads bytes as the movie box of an MP4 file and as a transport stream, and makes fragments and a stitched file of it.

#![no_main]

use std::io::Write;

use abanico_package::{
    CompositionOffsets, FragmentBrand, FragmentedTrack, IndexedSegment, Mp4Track, av1_codec, avc_codec,
    hevc_codec, key_frame_bytes, stitch, video_sample_entry, vp9_codec,
};
use libfuzzer_sys::fuzz_target;

/// Most samples of which fragments are made: each takes the time of a copy of all.
const MOST_SAMPLES: usize = 2_000;

fuzz_target!(|bytes: &[u8]| {
    let _ = video_sample_entry(bytes);
    let _ = key_frame_bytes(bytes, 481);
    let _ = avc_codec(bytes);
    let _ = hevc_codec("hvc1", bytes);
    let _ = av1_codec(bytes);
    let _ = vp9_codec(bytes);
    upright(bytes);
    if let Ok(track) = Mp4Track::read(bytes, bytes.len() as u64) {
        // The table of a hostile file may not claim more samples than its bytes can carry.
        assert!(
            track.samples.len() <= 64 * (bytes.len() + 1),
            "{} samples of {} bytes",
            track.samples.len(),
            bytes.len()
        );
        if track.samples.len() <= MOST_SAMPLES {
            packaged(track);
        }
    }
});

fn packaged(track: Mp4Track) {
    let frames = track.samples.len() as u64;
    let _ = stitch(&[track.clone(), track.clone()], &[frames, frames]);
    for offsets in [CompositionOffsets::Unsigned, CompositionOffsets::Signed] {
        let made = FragmentedTrack::new(track.clone(), FragmentBrand::Cmaf, offsets, Some("eng"));
        let _ = made.initialisation();
        let Ok(segments) = made.cut(&[0], 90_000) else { continue };
        let mut sequence = 0;
        let mut indexed = Vec::new();
        for segment in &segments {
            for fragment in segment {
                sequence += 1;
                let _ = made.fragment_head(sequence, fragment.clone());
            }
            let all = segment[0].start..segment[segment.len() - 1].end;
            indexed.push(IndexedSegment { size_bytes: 1, duration: made.shown_ticks(all) });
        }
        let _ = made.segment_index(&indexed);
    }
}

/// Changes no other bytes than those of matrices, and never the size of the file.
fn upright(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let _ = abanico_ffmpeg::mark_upright(file.path());
    assert_eq!(std::fs::metadata(file.path()).unwrap().len(), bytes.len() as u64);
}
