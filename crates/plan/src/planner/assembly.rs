//! Finishes a plan: takes the streams of all outputs and returns the tasks that make them, each after the
//! tasks that it depends on. A rendition always comes after the one that it is scaled from.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use abanico_media::{Colour, DynamicRange, FieldOrder, FrameRate, MediaInfo, Rational, Size, VideoTrack};

use super::analyses::{analysis, of_one_encode};
use super::{Draft, Packaging, count, position_or_push};
use crate::chunks::{Cut, Entered, chunks};
use crate::clips::Clip;
use crate::renditions::Decision;
use crate::{
    CaptionDelivery, Error, GroupManifests, Joint, Overlay, Pass, Plan, QualityMetric, RateBranch,
    ScaleSource, SourceVideo, StitchedRendition, Streams, Task, TaskId, TaskKind, ToneMap, VideoCodec,
    VideoEncode, VideoRendition, VideoStitch,
};

/// A clip that begins this long after its file does is reached by seeking.
const SEEK_FROM_SECONDS: i64 = 5;
/// libx264's default for the initial fill of the decoder's buffer (its `vbv-init`).
const USUAL_FILL_PERCENT: u8 = 90;

impl Draft<'_> {
    pub(super) fn finish(mut self) -> Plan {
        let mut tasks = Vec::new();
        for (index, captions) in std::mem::take(&mut self.captions).into_iter().enumerate() {
            let id = captions_id(count(index));
            tasks.push(Task { id, kind: TaskKind::MakeCaptions(captions), after: vec![] });
        }
        if let Some(video) = self.video_encode() {
            self.note_about_pictures(&video);
            tasks.extend(self.video_tasks(video));
        }
        for audio in self.audio {
            let id = TaskId::new(format!("audio-{}", audio.index));
            tasks.push(Task { id, kind: TaskKind::EncodeAudio(audio), after: vec![] });
        }
        let mut outputs = Vec::new();
        for (planned, packaged) in self.outputs {
            tasks.extend(output_tasks(packaged));
            outputs.push(planned);
        }
        tasks.extend(self.manifests.into_iter().map(manifests_task));
        let is_cut = tasks.iter().any(|task| matches!(task.kind, TaskKind::StitchVideo(_)));
        Plan {
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
        Some(VideoEncode { clips: self.source_videos().ok()?, branches: self.branches(), chunk: None })
    }

    /// Returns the first passes and then the encode, each for the whole film or for every chunk.
    fn video_tasks(&mut self, mut video: VideoEncode) -> Vec<Task> {
        // VMAF is closer to what people see.
        let has_vmaf = self.request.capabilities.has_filter("libvmaf");
        let metric = if has_vmaf { QualityMetric::Vmaf } else { QualityMetric::Ssim };
        let analysis = analysis(&mut video, metric);
        let cut = self.chunks_of(&video);
        let (cut, joints) = cut.map_or_else(Default::default, |cut| (cut.chunks, cut.joints));
        let first_passes: Vec<VideoEncode> = match analysis {
            Some(analysis) if cut.is_empty() => vec![of_one_encode(analysis)],
            Some(analysis) => cut.iter().map(|chunk| of_same_frames(analysis.clone(), chunk)).collect(),
            None => Vec::new(),
        };
        let analysing = |first_pass: VideoEncode| {
            let id = TaskId::analysis(first_pass.chunk);
            Task { id, kind: TaskKind::AnalyseVideo(first_pass), after: vec![] }
        };
        let mut tasks: Vec<Task> = first_passes.into_iter().map(analysing).collect();
        if !tasks.is_empty() && !cut.is_empty() {
            // One task waits for all first passes, so that chunks need not list them all.
            let (id, after) = (TaskId::first_passes(), tasks.iter().map(|task| task.id.clone()).collect());
            tasks.push(Task { id, kind: TaskKind::SumFirstPasses { chunks: count(cut.len()) }, after });
        }
        let mut after: Vec<TaskId> = drawn(&video).map(captions_id).collect();
        after.extend(tasks.last().map(|task| task.id.clone()));
        let id = TaskId::video();
        if cut.is_empty() {
            tasks.push(Task { id, kind: TaskKind::EncodeVideo(video), after });
            return tasks;
        }
        let stitch = stitched(&cut, joints);
        for (number, chunk) in cut.into_iter().enumerate() {
            let (id, after) = (TaskId::chunk(count(number)), after.clone());
            tasks.push(Task { id, kind: TaskKind::EncodeVideo(chunk), after });
        }
        let after = (0..stitch.chunks).map(TaskId::chunk).collect();
        tasks.push(Task { id, kind: TaskKind::StitchVideo(stitch), after });
        tasks
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
        SourceVideo {
            input: count(clip.input),
            seek: seek(clip, track, info),
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
    }
}

/// Returns the task that joins these chunks.
fn stitched(chunks: &[VideoEncode], joints: Vec<Joint>) -> VideoStitch {
    let first = chunks.first().map_or(&[][..], |chunk| &chunk.branches);
    let mut renditions = Vec::new();
    for (place, branch) in first.iter().enumerate() {
        let frames: Vec<u64> = chunks.iter().map(|chunk| chunk.branches[place].frames).collect();
        renditions.extend(branch.renditions.iter().map(|rendition| StitchedRendition {
            index: rendition.index,
            frames: frames.clone(),
            buffer_bits: rendition.coding.buffer_bits,
            buffer_fill_percent: rendition.coding.buffer_fill_percent.unwrap_or(USUAL_FILL_PERCENT),
            ceiling_bps: rendition.coding.rate_control.ceiling_bps(),
            // SVT-AV1 limits the rate but has no buffer model.
            keeps_buffer: rendition.coding.codec() != VideoCodec::Av1,
        }));
    }
    VideoStitch { chunks: count(chunks.len()), renditions, joints }
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

fn output_tasks(packaging: Packaging) -> Vec<Task> {
    let (output, after, id, kind) = match packaging {
        Packaging::Images(images) => {
            let id = TaskId::new(format!("images-{}", images.output));
            return vec![Task { id, kind: TaskKind::CaptureFrames(*images), after: vec![] }];
        }
        Packaging::Captions(captions) => {
            let output = captions.delivery.as_ref().map_or(0, CaptionDelivery::output);
            let (id, kind) = (segment_id(output), TaskKind::MakeCaptions(*captions));
            return vec![Task { id, kind, after: vec![] }];
        }
        Packaging::File(file) => {
            let id = TaskId::new(format!("package-{}", file.output));
            let mut after = makers(&file.streams);
            after.extend(file.texts.iter().map(|text| captions_id(text.captions)));
            (file.output, after, id, TaskKind::Package(*file))
        }
        Packaging::Segments(cut) => {
            (cut.output, makers(&cut.streams), segment_id(cut.output), TaskKind::Segment(*cut))
        }
    };
    vec![
        Task { id: id.clone(), kind, after },
        Task {
            id: TaskId::new(format!("verify-{output}")),
            kind: TaskKind::Verify { output },
            after: vec![id],
        },
    ]
}

/// Returns the tasks that make the streams.
fn makers(streams: &Streams) -> Vec<TaskId> {
    let mut ids: Vec<TaskId> =
        streams.audio.iter().map(|sound| TaskId::new(format!("audio-{}", sound.index))).collect();
    ids.extend(streams.video.map(|_| TaskId::video()));
    ids.dedup();
    ids
}

fn manifests_task(group: GroupManifests) -> Task {
    let after = group.streams.iter().map(|stream| segment_id(stream.output)).collect();
    let id = TaskId::new(format!("manifests-{}", group.group));
    Task { id, kind: TaskKind::GroupManifests(group), after }
}

/// Returns the indices of the captions that are drawn into the video, each once.
fn drawn(video: &VideoEncode) -> impl Iterator<Item = u32> {
    let overlays = video.renditions().flat_map(|(_, rendition)| &rendition.overlays);
    let indices: BTreeSet<u32> = overlays
        .filter_map(|overlay| match overlay {
            Overlay::Captions(index) => Some(*index),
            Overlay::Image(_) | Overlay::Timecode(_) => None,
        })
        .collect();
    indices.into_iter()
}

fn captions_id(index: u32) -> TaskId {
    TaskId::new(format!("captions-{index}"))
}

fn segment_id(output: u32) -> TaskId {
    TaskId::new(format!("segment-{output}"))
}
