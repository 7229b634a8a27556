//! Cuts the plain MP4 file of one encoded stream into segments of fragments, and writes what a decoder needs before
//! them. Samples are copied byte for byte.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use abanico_media::{ExactTime, Rational};
use abanico_package::{
    CompositionOffsets, FragmentBrand, FragmentedTrack, IndexedSegment, Mp4Track, segment_type,
};
use abanico_plan::{Fragmentation, SegmentedOutput};

use super::{CutSegment, CutStream, FragmentedHead, initialisation_name, segment_name};
use crate::failure::{self, Failure};
use crate::files::codec_names::moov;

/// Cuts the only stream of an output, off the async threads.
pub(super) async fn cut(
    output: &SegmentedOutput,
    how: &Fragmentation,
    source: &Path,
    folder: &Path,
) -> Result<CutStream, Failure> {
    let cutting = Cutting {
        output: output.clone(),
        how: how.clone(),
        source: source.to_path_buf(),
        folder: folder.to_path_buf(),
    };
    let done = tokio::task::spawn_blocking(move || cutting.run()).await;
    let cut = done.map_err(|_| failure::broken("cutting fragments ended early"))?;
    cut.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => failure::broken(&error.to_string()),
        _ => failure::from_disk("cut the fragments", &error),
    })
}

/// The data for cutting on another thread.
struct Cutting {
    output: SegmentedOutput,
    how: Fragmentation,
    source: PathBuf,
    folder: PathBuf,
}

impl Cutting {
    fn run(&self) -> io::Result<CutStream> {
        let track = self.track()?;
        let timescale = track.track().timescale;
        let ticks = self.how.least_length.seconds() * Rational::from(i64::from(timescale));
        let least_ticks = u64::try_from(ticks.ceil()).unwrap_or(0);
        let planned = track.cut(self.output.segmentation.starts(), least_ticks).map_err(invalid)?;
        let mut source = File::open(&self.source)?;
        let (mut segments, mut sequence) = (Vec::with_capacity(planned.len()), 1);
        for (index, fragments) in planned.iter().enumerate() {
            segments.push(self.write_segment(&track, &mut source, index, fragments, &mut sequence)?);
        }
        let indexed: Vec<IndexedSegment> = segments
            .iter()
            .map(|segment| IndexedSegment { size_bytes: segment.size_bytes, duration: segment.ticks })
            .collect();
        let index = if self.output.single_file {
            track.segment_index(&indexed).map_err(invalid)?
        } else {
            Vec::new()
        };
        let initialisation = track.initialisation();
        std::fs::write(self.folder.join(initialisation_name(&self.output)), &initialisation)?;
        Ok(CutStream { segments, fragmented: Some(FragmentedHead { timescale, initialisation, index }) })
    }

    fn brand(&self) -> FragmentBrand {
        if self.how.is_cmaf { FragmentBrand::Cmaf } else { FragmentBrand::Dash }
    }

    fn track(&self) -> io::Result<FragmentedTrack> {
        let moov = moov(&self.source)?;
        let moov = moov.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the encoded stream has no moov box")
        })?;
        let track = Mp4Track::read(&moov, std::fs::metadata(&self.source)?.len()).map_err(invalid)?;
        let offsets =
            if self.how.signed_offsets { CompositionOffsets::Signed } else { CompositionOffsets::Unsigned };
        let language = self.output.streams.audio.first().and_then(|sound| sound.language.as_deref());
        Ok(FragmentedTrack::new(track, self.brand(), offsets, language))
    }

    fn write_segment(
        &self,
        track: &FragmentedTrack,
        source: &mut File,
        index: usize,
        fragments: &[Range<usize>],
        sequence: &mut u32,
    ) -> io::Result<CutSegment> {
        let mut file = BufWriter::new(File::create(self.folder.join(segment_name(&self.output, index)))?);
        let (mut size_bytes, mut key_frame_bytes) = (0, 0);
        if !self.output.single_file {
            let kind = segment_type(self.brand());
            file.write_all(&kind)?;
            size_bytes += kind.len() as u64;
        }
        for samples in fragments {
            let head = track.fragment_head(*sequence, samples.clone()).map_err(invalid)?;
            file.write_all(&head)?;
            let run = &track.track().samples[samples.clone()];
            if key_frame_bytes == 0 {
                key_frame_bytes = size_bytes + head.len() as u64 + u64::from(run[0].size_bytes);
            }
            size_bytes += head.len() as u64 + copy_samples(source, run, &mut file)?;
            *sequence += 1;
        }
        file.flush()?;
        let all =
            fragments.first().map_or(0, |first| first.start)..fragments.last().map_or(0, |last| last.end);
        let ticks = track.shown_ticks(all);
        Ok(CutSegment {
            size_bytes,
            duration: ticks_as_time(ticks, track.track().timescale),
            ticks,
            key_frame_bytes: if self.output.i_frames { key_frame_bytes } else { 0 },
        })
    }
}

/// Copies samples in order, adjacent ones in a single read.
fn copy_samples(
    source: &mut File,
    samples: &[abanico_package::Sample],
    to: &mut impl Write,
) -> io::Result<u64> {
    let mut copied = 0;
    for run in samples.chunk_by(|one, next| one.offset_bytes + u64::from(one.size_bytes) == next.offset_bytes)
    {
        let length: u64 = run.iter().map(|sample| u64::from(sample.size_bytes)).sum();
        source.seek(SeekFrom::Start(run[0].offset_bytes))?;
        let got = io::copy(&mut Read::by_ref(source).take(length), to)?;
        if got != length {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the encoded stream is cut off"));
        }
        copied += got;
    }
    Ok(copied)
}

fn ticks_as_time(ticks: u64, timescale: u32) -> ExactTime {
    let ticks = Rational::from(i64::try_from(ticks).unwrap_or(i64::MAX));
    ExactTime::from_seconds(ticks / Rational::from(i64::from(timescale)))
}

fn invalid(error: abanico_package::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use abanico_package::Sample;

    use super::*;

    fn sample(offset_bytes: u64, size_bytes: u32) -> Sample {
        Sample { offset_bytes, size_bytes, duration: 1, composition: 0, is_sync: true }
    }

    #[test]
    fn samples_are_copied_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abcdefgh").unwrap();
        let (mut file, mut made) = (File::open(&path).unwrap(), Vec::new());
        let samples = [sample(4, 2), sample(6, 1), sample(0, 3)];
        assert_eq!(copy_samples(&mut file, &samples, &mut made).unwrap(), 6);
        assert_eq!(made, b"efgabc");
        let error = copy_samples(&mut file, &[sample(7, 2)], &mut made).unwrap_err();
        assert_eq!(error.to_string(), "the encoded stream is cut off");
    }

    #[test]
    fn ticks_become_exact_times() {
        assert_eq!(ticks_as_time(30_030, 30_000).decimal(), "1.001000");
    }
}
