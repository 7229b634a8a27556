//! Finishes a plan: takes the streams of all outputs and returns the tasks that make them, each after the
//! tasks that it depends on. A rendition always comes after the one that it is scaled from.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use abanico_media::{Colour, DynamicRange, FieldOrder, FrameRate, MediaInfo, Rational, Size, VideoTrack};

use super::analyses::{analysis, of_one_encode};
use super::{Draft, Packaging, count, position_or_push};
use crate::cutting::chunks::{Cut, Entered, PLACES_BEFORE_JOINT, chunks};
use crate::cutting::clips::Clip;
use crate::video::renditions::Decision;
use crate::{
    Analysis, Artifact, BufferedRendition, CaptionDelivery, CaptionTask, ChunkJoint, ChunkJudgement,
    Chunking, Error, GroupManifests, Joint, Overlay, PLAN_VERSION, PackageTask, Pass, Plan, PlannedOutput,
    QualityMetric, RateBranch, RenditionAgain, ScaleSource, SourceVideo, StitchedRendition, Streams, Task,
    TaskId, TaskKind, ToneMap, Verification, VideoCodec, VideoEncode, VideoRendition, VideoStitch,
};

/// A clip that begins this long after its file does is reached by seeking.
const SEEK_FROM_SECONDS: i64 = 5;
/// A clip that begins later than this, and that no entry point is known for, is not compared with its source.
const COMPARED_WITHIN_SECONDS: i64 = 60;
/// libx264's default for the initial fill of the decoder's buffer (its `vbv-init`).
const USUAL_FILL_PERCENT: u8 = 90;

impl Draft<'_> {
    pub(super) fn finish(mut self) -> Plan {
        let mut tasks = Vec::new();
        for (index, captions) in std::mem::take(&mut self.captions).into_iter().enumerate() {
            tasks.push(captions_task(TaskId::captions(count(index)), captions));
        }
        if let Some(video) = self.video_encode() {
            self.note_about_pictures(&video);
            tasks.extend(self.video_tasks(video));
        }
        for audio in self.audio {
            let reads: Vec<Artifact> = audio.inputs().map(Artifact::Input).collect();
            tasks.push(Task::new(TaskId::audio(audio.index), TaskKind::EncodeAudio(audio), reads));
        }
        let mut outputs = Vec::new();
        for (planned, packaged) in self.outputs {
            tasks.extend(output_tasks(&planned, packaged));
            outputs.push(planned);
        }
        tasks.extend(self.manifests.into_iter().map(manifests_task));
        let is_cut = tasks.iter().any(|task| matches!(task.kind, TaskKind::StitchVideo(_)));
        Plan {
            version: PLAN_VERSION,
            is_cut,
            tasks,
            outputs,
            groups: self.groups,
            caption_files: self.caption_files,
            images: self.images,
            warnings: self.warnings,
            notes: self.notes,
        }
    }

    fn video_encode(&self) -> Option<VideoEncode> {
        if self.renditions.is_empty() {
            return None;
        }
        // Renditions are planned only if every clip has video.
        Some(VideoEncode {
            clips: self.source_videos().ok()?,
            branches: self.branches(),
            chunk: None,
            threads: None,
            analyses: Vec::new(),
        })
    }

    /// Returns the first passes and then the encode, each for the whole film or for every chunk.
    fn video_tasks(&mut self, mut video: VideoEncode) -> Vec<Task> {
        // VMAF is closer to what people see.
        let has_vmaf = self.request.capabilities.has_filter("libvmaf");
        let metric = if has_vmaf { QualityMetric::Vmaf } else { QualityMetric::Ssim };
        let analysis = analysis(&mut video, metric);
        let cut = self.chunks_of(&video);
        let (mut cut, joints) = cut.map_or_else(Default::default, |cut| (cut.chunks, cut.joints));
        let threads = self.threads_of_chunks(cut.len());
        cut.iter_mut().for_each(|chunk| chunk.threads = threads);
        let first_passes: Vec<VideoEncode> = match analysis {
            Some(analysis) if cut.is_empty() => vec![of_one_encode(analysis)],
            Some(analysis) => cut.iter().map(|chunk| of_same_frames(analysis.clone(), chunk)).collect(),
            None => Vec::new(),
        };
        let analyses: Vec<Analysis> = first_passes.first().map_or_else(Vec::new, |first| {
            first.renditions().map(|(_, rendition)| Analysis::of(rendition)).collect()
        });
        let encodes = if cut.is_empty() { std::slice::from_mut(&mut video) } else { &mut cut[..] };
        encodes.iter_mut().for_each(|encode| encode.analyses.clone_from(&analyses));
        let analysing = |first_pass: VideoEncode| {
            let reads: Vec<Artifact> = read_by(&first_pass).collect();
            Task::new(TaskId::analysis(first_pass.chunk), TaskKind::AnalyseVideo(first_pass), reads)
        };
        let mut tasks: Vec<Task> = first_passes.into_iter().map(analysing).collect();
        if !tasks.is_empty() && !cut.is_empty() {
            // One task reads all first passes, so that chunks need not list them all.
            let reads: Vec<Artifact> = tasks.iter().map(|task| Artifact::Made(task.id.clone())).collect();
            let kind = TaskKind::SumFirstPasses { chunks: count(cut.len()), analyses };
            tasks.push(Task::new(TaskId::first_passes(), kind, reads));
        }
        if cut.is_empty() {
            let reads: Vec<Artifact> = read_by(&video).collect();
            tasks.push(Task::new(TaskId::video(), TaskKind::EncodeVideo(video), reads));
            return tasks;
        }
        tasks.extend(tasks_of_chunks(cut, joints));
        tasks
    }

    /// Returns the threads for the encode of one of so many chunks: all of them share the processors.
    fn threads_of_chunks(&self, chunks: usize) -> Option<u32> {
        match self.request.chunking {
            Chunking::For(encoders) if chunks > 0 => Some((encoders / count(chunks)).max(1)),
            Chunking::For(_) | Chunking::Off => None,
        }
    }

    /// Returns the chunks of a film; none if it stays whole.
    fn chunks_of(&mut self, video: &VideoEncode) -> Option<Cut> {
        let (clip, track) = self.clips.first().zip(self.first_track().ok())?;
        let info = &self.request.inputs[clip.input];
        let source = Entered { track, has_index: has_index(info), clock_start: info.clock_start };
        match chunks(video, &source, self.request.chunking) {
            Ok(cut) => Some(cut),
            Err(why) => {
                if let Some(why) = why {
                    self.note(format!("the film is not cut into chunks: {why}"));
                }
                None
            }
        }
    }

    fn note_about_pictures(&mut self, video: &VideoEncode) {
        for input in video.clips.iter().map(|clip| clip.input as usize) {
            let shapes = self.tracks[input].iter().flat_map(|track| &track.shapes);
            let shapes: Vec<String> = shapes.map(ToString::to_string).collect();
            if !shapes.is_empty() {
                let url = self.inputs[input].file_input.as_deref().unwrap_or_default();
                self.note(format!(
                    "the frames of `{url}` change their shape ({}): all are fitted into the first one, with bars",
                    shapes.join(", ")
                ));
            }
        }
        if video.clips.iter().any(|clip| clip.deinterlace != FieldOrder::Progressive) {
            self.note("the source is interlaced: it is deinterlaced for progressive outputs".to_owned());
        }
        let is_mapped = video.branches.iter().any(|branch| !branch.keeps_range);
        if is_mapped && video.clips.iter().any(|clip| clip.tone_map == ToneMap::Hable) {
            self.note(
                "the source has a high dynamic range: it is mapped to standard dynamic range (BT.709)"
                    .to_owned(),
            );
        }
        if is_mapped && video.clips.iter().any(|clip| clip.tone_map == ToneMap::Unavailable) {
            self.note(
                "the source has a high dynamic range, but ffmpeg lacks `zscale` or `tonemap`: colours will look pale".to_owned(),
            );
        }
    }

    /// Returns what to decode for the video of all clips.
    pub(super) fn source_videos(&self) -> Result<Vec<SourceVideo>, Error> {
        let of = |clip: &Clip| Ok(self.source_video(clip, self.track(clip.input)?));
        self.clips.iter().map(of).collect()
    }

    fn source_video(&self, clip: &Clip, track: &VideoTrack) -> SourceVideo {
        let info = &self.request.inputs[clip.input];
        let seek = seek(clip, track, info);
        SourceVideo {
            input: count(clip.input),
            seek,
            compared_from: compared_from(clip, seek, track, info),
            stream_index: track.stream_index,
            start: clip.start,
            size: track.size,
            sample_aspect: track.sample_aspect,
            window: track.window,
            changes_shape: !track.shapes.is_empty(),
            orientation: track.orientation,
            deinterlace: track.field_order,
            is_fast: track.frame_rate.per_second() > Rational::from(32),
            is_uneven: track.variable_frame_rate,
            tone_map: self.tone_map(track),
            pixel_format: track.pixel_format.clone(),
            colour: track.colour.completed(track.size, &track.pixel_format),
        }
    }

    /// Returns the colours of finished streams: as the first clip's, or BT.709 where a high dynamic range is mapped.
    pub(super) fn colour(&self, keeps_range: bool) -> Option<Colour> {
        let track = self.first_track().ok()?;
        if !keeps_range && self.tone_map(track) == ToneMap::Hable {
            return Some(Colour::bt709());
        }
        Some(track.colour.completed(track.size, &track.pixel_format).delivered(track.size))
    }

    fn tone_map(&self, track: &VideoTrack) -> ToneMap {
        let capabilities = self.request.capabilities;
        if track.colour.dynamic_range() == DynamicRange::Sdr {
            ToneMap::None
        } else if capabilities.has_filter("zscale") && capabilities.has_filter("tonemap") {
            ToneMap::Hable
        } else {
            ToneMap::Unavailable
        }
    }

    /// Returns the frames of each clip at a rate, at least one each. Their sum is the total length, rounded
    /// to a frame.
    pub(super) fn clip_frames(&self, rate: FrameRate) -> Vec<u64> {
        let (mut at, mut counted) = (abanico_media::ExactTime::ZERO, 0);
        let mut frames = Vec::with_capacity(self.clips.len());
        for clip in &self.clips {
            at = at + clip.length;
            let of_clip = at.frames(rate).saturating_sub(counted).max(1);
            counted += of_clip;
            frames.push(of_clip);
        }
        frames
    }

    /// Returns the frames of all clips at a rate, at least one.
    pub(super) fn frames(&self, rate: FrameRate) -> u64 {
        self.clip_frames(rate).iter().sum::<u64>().max(1)
    }

    /// Groups renditions by frame rate, dynamic range and interlacing, and scales each from the next larger
    /// one.
    fn branches(&self) -> Vec<RateBranch> {
        let has_fields = |decision: &Decision| decision.coding.fields != FieldOrder::Progressive;
        let mut kinds = Vec::new();
        for decision in &self.renditions {
            position_or_push(&mut kinds, (decision.rate, decision.keeps_range(), has_fields(decision)));
        }
        let sizes: Vec<Size> =
            self.clips.iter().filter_map(|clip| Some(self.track(clip.input).ok()?.display_size())).collect();
        let branch = |(rate, keeps, fields): (FrameRate, bool, bool)| {
            let is_of = |decision: &Decision| {
                decision.rate == rate && decision.keeps_range() == keeps && has_fields(decision) == fields
            };
            let mut members: Vec<(usize, &Decision)> =
                self.renditions.iter().enumerate().filter(|(_, decision)| is_of(decision)).collect();
            members.sort_by_key(|(index, decision)| (Reverse(area(decision)), *index));
            RateBranch {
                rate,
                frames: self.frames(rate),
                clip_frames: self.clip_frames(rate),
                from_fields: fields,
                run: None,
                keeps_range: keeps,
                colour: self.colour(keeps),
                renditions: cascade(&members, &sizes),
            }
        };
        kinds.into_iter().map(branch).collect()
    }
}

/// Returns where reading begins. Files with an index are read from shortly before the clip. Others are read
/// from their start, because a seek may land after the key frame that is needed.
fn seek(clip: &Clip, track: &VideoTrack, info: &MediaInfo) -> abanico_media::ExactTime {
    use abanico_media::ExactTime;
    let into = (clip.start - track.start).seconds();
    if !has_index(info) || into < Rational::from(SEEK_FROM_SECONDS) {
        return ExactTime::ZERO;
    }
    // Starts a whole second early. Frames before the clip are thrown away by their times.
    ExactTime::from_seconds(Rational::from((clip.start - info.clock_start).seconds().floor() - 1))
}

/// Returns where reading begins to compare a clip's first frames with the source. Decoding may not start at each entry
/// point that a file names, so this is farther back than the encode reads from.
fn compared_from(
    clip: &Clip,
    seek: abanico_media::ExactTime,
    track: &VideoTrack,
    info: &MediaInfo,
) -> Option<abanico_media::ExactTime> {
    use abanico_media::ExactTime;
    let entered = track.entry_points.places_before(info.clock_start + seek, PLACES_BEFORE_JOINT);
    if let Some(entered) = entered.filter(|_| seek > ExactTime::ZERO) {
        return Some((entered - info.clock_start).max(ExactTime::ZERO).min(seek));
    }
    let into = (clip.start - track.start).seconds();
    (into <= Rational::from(COMPARED_WITHIN_SECONDS)).then_some(ExactTime::ZERO)
}

/// Returns whether seeking in a file of this kind lands at the wanted time.
fn has_index(info: &MediaInfo) -> bool {
    info.container.contains("mp4") || info.container.contains("matroska")
}

/// Restricts an encode of the whole film to the frames of one chunk.
fn of_same_frames(whole: VideoEncode, chunk: &VideoEncode) -> VideoEncode {
    let run_of = |branch: RateBranch| {
        let same = chunk.branches.iter().find(|other| {
            (other.rate, other.keeps_range, other.from_fields)
                == (branch.rate, branch.keeps_range, branch.from_fields)
        });
        same.map_or(branch.clone(), |same| RateBranch { renditions: branch.renditions, ..same.clone() })
    };
    VideoEncode {
        clips: chunk.clips.clone(),
        branches: whole.branches.into_iter().map(run_of).collect(),
        chunk: chunk.chunk,
        threads: chunk.threads,
        analyses: Vec::new(),
    }
}

/// Returns the tasks that encode these chunks, judge them, encode some again, and join them.
///
/// How full the decoder's buffer is where a chunk begins depends on all chunks before it. So there is one task for each
/// rendition that encodes chunks again, and not one for each chunk: those would wait for each other in a row, hundreds of
/// them for a long film, though nearly none has anything to do. Joints do not depend on each other, and looking at them
/// takes processor time, so each has a task.
fn tasks_of_chunks(chunks: Vec<VideoEncode>, joints: Vec<Joint>) -> Vec<Task> {
    let numbers = 0..count(chunks.len());
    let (renditions, stitched) = stitched(&chunks);
    let made_chunks = || numbers.clone().map(TaskId::chunk).map(Artifact::Made);
    let made_joints = || numbers.clone().skip(1).map(TaskId::joint).map(Artifact::Made);
    let of_all_chunks: BTreeSet<Artifact> = chunks.iter().flat_map(read_by).collect();
    let mut tasks = Vec::new();
    let mut looks = Vec::new();
    for (number, chunk) in numbers.clone().zip(chunks) {
        if let Some((before, joint)) = number.checked_sub(1).zip(joints.get(looks.len())) {
            let both = [before, number].map(TaskId::chunk).map(Artifact::Made);
            let kind = TaskKind::CompareJoint(ChunkJoint { chunk: number, joint: *joint });
            looks.push(Task::new(TaskId::joint(number), kind, shown_by(&chunk).chain(both)));
        }
        let reads: Vec<Artifact> = read_by(&chunk).collect();
        tasks.push(Task::new(TaskId::chunk(number), TaskKind::EncodeVideo(chunk), reads));
    }
    tasks.extend(looks);
    let judgement = ChunkJudgement { chunks: numbers.end, renditions: renditions.clone() };
    let judging = TaskKind::JudgeChunks(judgement);
    tasks.push(Task::new(TaskId::judgement(), judging, made_chunks().chain(made_joints())));
    let judged = || [Artifact::Made(TaskId::judgement())];
    let agains: Vec<TaskId> = renditions.iter().map(|rendition| TaskId::again(rendition.index)).collect();
    for (id, rendition) in agains.iter().zip(renditions) {
        let kind = RenditionAgain { chunks: numbers.end, rendition };
        // A chunk is encoded again from all that it was made from.
        let reads = made_chunks().chain(judged()).chain(of_all_chunks.iter().cloned());
        tasks.push(Task::new(id.clone(), TaskKind::EncodeAgain(kind), reads));
    }
    let stitch = VideoStitch { chunks: numbers.end, renditions: stitched };
    let reads = made_chunks().chain(agains.into_iter().map(Artifact::Made));
    tasks.push(Task::new(TaskId::video(), TaskKind::StitchVideo(stitch), reads));
    tasks
}

/// Returns the renditions of these chunks: the buffers of their decoders, and how they are joined.
fn stitched(chunks: &[VideoEncode]) -> (Vec<BufferedRendition>, Vec<StitchedRendition>) {
    let first = chunks.first().map_or(&[][..], |chunk| &chunk.branches);
    let mut renditions = Vec::new();
    for (place, branch) in first.iter().enumerate() {
        let frames: Vec<u64> = chunks.iter().map(|chunk| chunk.branches[place].frames).collect();
        renditions.extend(branch.renditions.iter().map(|rendition| {
            let buffered = BufferedRendition {
                index: rendition.index,
                buffer_bits: rendition.coding.buffer_bits,
                buffer_fill_percent: rendition.coding.buffer_fill_percent.unwrap_or(USUAL_FILL_PERCENT),
                ceiling_bps: rendition.coding.rate_control.ceiling_bps(),
                // SVT-AV1 limits the rate but has no buffer model.
                keeps_buffer: rendition.coding.codec() != VideoCodec::Av1,
            };
            (buffered, StitchedRendition { index: rendition.index, frames: frames.clone() })
        }));
    }
    renditions.into_iter().unzip()
}

fn area(decision: &Decision) -> u64 {
    decision.pictures.iter().map(|picture| picture.size.area()).max().unwrap_or(0)
}

/// Scales each picture from the smallest earlier one that is at least as large in every clip and shows the
/// same part. A picture that is itself enlarged does not serve as a source, because its detail would be
/// smeared twice.
fn cascade(members: &[(usize, &Decision)], sources: &[Size]) -> Vec<VideoRendition> {
    let mut made: Vec<VideoRendition> = Vec::new();
    for (index, decision) in members {
        let serves = |larger: &VideoRendition| {
            let mut pairs = larger.pictures.iter().zip(&decision.pictures).zip(sources);
            pairs.all(|((above, own), source)| {
                let shown = own.crop.map_or(*source, |crop| crop.size);
                above.crop == own.crop && own.size.fits(above.size) && above.size.area() <= shown.area()
            })
        };
        let parent = made.iter().rev().find(|larger| serves(larger)).map(|larger| larger.index);
        made.push(VideoRendition {
            index: count(*index),
            scale_from: parent.map_or(ScaleSource::Source, ScaleSource::Rendition),
            pictures: decision.pictures.clone(),
            frame: decision.frame,
            pixel_aspect: decision.pixel_aspect,
            noise_reducer: decision.noise_reducer,
            colour_correction: decision.colour_correction,
            overlays: decision.overlays.clone(),
            key_frame_every: decision.key_frame_every,
            coding: decision.coding.clone(),
            pass: Pass::Only,
            only_scaled: false,
        });
    }
    made
}

fn output_tasks(planned: &PlannedOutput, packaging: Packaging) -> Vec<Task> {
    let (output, made) = match packaging {
        Packaging::Images(images) => {
            let reads: Vec<Artifact> = images.clips.iter().map(|clip| Artifact::Input(clip.input)).collect();
            return vec![Task::new(TaskId::images(images.output), TaskKind::CaptureFrames(*images), reads)];
        }
        Packaging::Captions(captions) => {
            let output = captions.delivery.as_ref().map_or(0, CaptionDelivery::output);
            return vec![captions_task(TaskId::segment(output), *captions)];
        }
        Packaging::File(file) => {
            let texts = file.texts.iter().map(|text| Artifact::Made(TaskId::captions(text.captions)));
            let reads: Vec<Artifact> = makers(&file.streams).chain(texts).collect();
            let (output, url, content_type) =
                (file.output, planned.url.clone(), planned.content_type.clone());
            let kind = TaskKind::Package(PackageTask { file: *file, url, content_type });
            (output, Task::new(TaskId::package(output), kind, reads))
        }
        Packaging::Segments(cut) => {
            let reads: Vec<Artifact> = makers(&cut.streams).collect();
            (cut.output, Task::new(TaskId::segment(cut.output), TaskKind::Segment(*cut), reads))
        }
    };
    let made_by = made.id.clone();
    let reads = [Artifact::Made(made_by.clone())];
    let kind = TaskKind::Verify(Verification { output, planned: planned.clone(), made_by });
    vec![made, Task::new(TaskId::verify(output), kind, reads)]
}

fn captions_task(id: TaskId, captions: CaptionTask) -> Task {
    let reads: Vec<Artifact> = captions.files.keys().copied().map(Artifact::CaptionFile).collect();
    Task::new(id, TaskKind::MakeCaptions(captions), reads)
}

/// Returns the tasks that make the streams.
fn makers(streams: &Streams) -> impl Iterator<Item = Artifact> {
    let sounds = streams.audio.iter().map(|sound| TaskId::audio(sound.index));
    sounds.chain(streams.video.map(|_| TaskId::video())).map(Artifact::Made)
}

fn manifests_task(group: GroupManifests) -> Task {
    let reads: Vec<Artifact> =
        group.streams.iter().map(|stream| Artifact::Made(TaskId::segment(stream.output))).collect();
    Task::new(TaskId::manifests(group.group), TaskKind::GroupManifests(group), reads)
}

/// Returns what an encode of video reads: its inputs, what is drawn over it, and the results of its analysis.
fn read_by(encode: &VideoEncode) -> impl Iterator<Item = Artifact> {
    let passes = encode.renditions().flat_map(|(_, rendition)| match (rendition.pass, encode.chunk) {
        (Pass::Only | Pass::First | Pass::Sample(_), _) => vec![],
        (Pass::Levelled(_), None) | (Pass::Second(_), None) => vec![TaskId::analysis(None)],
        (Pass::Levelled(_), Some(_)) => vec![TaskId::first_passes()],
        (Pass::Second(_), chunk) => vec![TaskId::analysis(chunk), TaskId::first_passes()],
    });
    shown_by(encode).chain(passes.map(Artifact::Made))
}

/// Returns what an encode shows: its inputs, and what is drawn over them.
fn shown_by(encode: &VideoEncode) -> impl Iterator<Item = Artifact> {
    let inputs = encode.clips.iter().map(|clip| Artifact::Input(clip.input));
    let overlays = encode.renditions().flat_map(|(_, rendition)| &rendition.overlays);
    let drawn = overlays.filter_map(|overlay| match overlay {
        Overlay::Captions(index) => Some(Artifact::Made(TaskId::captions(*index))),
        Overlay::Image(image) => Some(Artifact::Image(image.file)),
        Overlay::Timecode(_) => None,
    });
    inputs.chain(drawn)
}
