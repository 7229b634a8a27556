//! Checks whole command lines.

use std::path::Path;

use abanico_media::{
    Colour, ExactTime, FieldOrder, FrameRate, Orientation, Rational, Shape, Size, StaticHdr, Window,
};
use abanico_plan::{
    AudioCoding, AudioPart, AudioRate, AudioStream, CodecSettings, EntropyCoder, Excerpt, FrameRun, Gop,
    H264Level, H264Profile, H264Settings, Overlay, Pass, Picture, QualityMetric, RateBranch, RateControl,
    Rectangle, Remix, Sampling, ScaleSource, SpeedPreset, ToneMap, VideoCoding, VideoRendition, Zone,
};

use super::*;

fn line(args: Vec<OsString>) -> String {
    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn source() -> SourceVideo {
    SourceVideo {
        input: 0,
        seek: ExactTime::ZERO,
        compared_from: Some(ExactTime::ZERO),
        stream_index: 1,
        start: ExactTime::from_ticks(5310, Rational::new(1, 90_000)),
        size: Size::new(1920, 1080),
        sample_aspect: Rational::ONE,
        window: None,
        changes_shape: false,
        orientation: Orientation::UPRIGHT,
        deinterlace: FieldOrder::Progressive,
        is_fast: false,
        is_uneven: false,
        tone_map: ToneMap::None,
        pixel_format: "yuv420p".into(),
        colour: Colour::bt709(),
    }
}

fn rendition(index: u32, scale_from: ScaleSource, picture: Size, frame: Size) -> VideoRendition {
    let own = H264Settings {
        profile: H264Profile::High,
        level: Some(H264Level(40)),
        b_references: false,
        entropy: EntropyCoder::Cabac,
    };
    let coding = VideoCoding {
        codec: CodecSettings::H264(own),
        rate_control: RateControl::Constant { bit_rate_bps: 6_000_000 },
        buffer_bits: 12_000_000,
        buffer_fill_percent: None,
        speed: SpeedPreset::Medium,
        gop: Gop { frames: 48, min_frames: 12, scene_cuts: true, is_fixed: true },
        b_frames: 1,
        references: Some(3),
        bit_depth: 8,
        is_analysed: false,
        zones: vec![],
        fields: FieldOrder::Progressive,
        static_hdr: StaticHdr::default(),
    };
    let pictures = vec![Picture { crop: None, size: picture, at: None }];
    VideoRendition {
        index,
        scale_from,
        pictures,
        frame,
        pixel_aspect: Rational::ONE,
        noise_reducer: None,
        colour_correction: None,
        overlays: Vec::new(),
        key_frame_every: None,
        coding,
        pass: Pass::Only,
        only_scaled: false,
    }
}

fn three(source: SourceVideo) -> VideoEncode {
    let rate = FrameRate::new(24000, 1001).unwrap();
    let renditions = vec![
        rendition(0, ScaleSource::Source, Size::new(1920, 1080), Size::new(1920, 1080)),
        rendition(1, ScaleSource::Rendition(0), Size::new(1280, 720), Size::new(1280, 720)),
        rendition(2, ScaleSource::Rendition(1), Size::new(640, 360), Size::new(640, 480)),
    ];
    let branch = RateBranch {
        rate,
        frames: 1493,
        clip_frames: vec![1493],
        run: None,
        from_fields: false,
        keeps_range: false,
        colour: Some(Colour::bt709()),
        renditions,
    };
    VideoEncode {
        clips: vec![source],
        branches: vec![branch],
        chunk: None,
        threads: None,
        analyses: Vec::new(),
    }
}

#[test]
fn three_renditions_cascade_from_one_decode() {
    insta::assert_snapshot!(line(encode_video(
        &three(source()),
        EncodedFrom { inputs: &["/w/input".into()], captions: &[], images: &[], analysis: None },
        Path::new("/w/video"),
        None
    )));
}

#[test]
fn rotated_interlaced_hdr_filters_are_in_order() {
    let mut odd = source();
    odd.orientation = Orientation { quarter_turns: 1, mirrored: true };
    odd.deinterlace = FieldOrder::TopFirst;
    odd.tone_map = ToneMap::Hable;
    odd.size = Size::new(3840, 2160);
    let command = line(encode_video(
        &three(odd),
        EncodedFrom { inputs: &["/w/i".into()], captions: &[], images: &[], analysis: None },
        Path::new("/w"),
        Some(2),
    ));
    let (graph, _) = command.split_once("[prepared]").unwrap();
    insta::assert_snapshot!(graph);
    assert!(!command.contains("-reinit_filter"), "a size change must not mix fields");
}

#[test]
fn other_shapes_get_bars_before_anything_else() {
    let mut odd = source();
    (odd.changes_shape, odd.deinterlace) = (true, FieldOrder::TopFirst);
    (odd.size, odd.sample_aspect) = (Size::new(720, 576), Rational::new(16, 15));
    odd.orientation = Orientation::turned(1);
    let command = line(encode_video(
        &three(odd),
        EncodedFrom { inputs: &["/w/i".into()], captions: &[], images: &[], analysis: None },
        Path::new("/w"),
        None,
    ));
    let (graph, _) = command.split_once("[prepared]").unwrap();
    insta::assert_snapshot!(graph);
}

#[test]
fn last_of_uneven_frames_stays() {
    let mut uneven = source();
    uneven.is_uneven = true;
    let graph = video_graph(&three(uneven), &[]);
    let kept = "[prepared]tpad=stop_duration=0.041708:stop_mode=clone,fps=fps=24000/1001:";
    assert!(graph.contains(kept), "{graph}");
    assert!(!video_graph(&three(source()), &[]).contains("stop_duration"));
}

#[test]
fn shown_part_is_cut_out_before_rotation() {
    let mut cropped = source();
    let stored = Shape { size: Size::new(1920, 1088), sample_aspect: Rational::ONE };
    cropped.window = Some(Window { stored, x: 0, y: 4 });
    cropped.orientation = Orientation::turned(1);
    let graph = video_graph(&three(cropped), &[]);
    assert!(graph.contains("/TB),crop=1920:1080:0:4:exact=1,transpose=clock[prepared]"), "{graph}");
}

/// Returns the scale filters of an encode with their colour options, and what describes their frames.
fn colours(encode: &VideoEncode) -> Vec<(String, String)> {
    let graph = video_graph(encode, &[]);
    let of = |chain: &str| {
        let scaled = chain.split_once(":flags=")?.1;
        let (options, rest) = scaled.split_once(",format=")?;
        let told = rest.split_once("setparams=").map_or("", |(_, told)| told);
        let told = told.split([',', '[']).next().unwrap_or_default();
        Some((options.split_once(':')?.1.to_owned(), told.to_owned()))
    };
    graph.split(';').filter_map(of).collect()
}

#[test]
fn colours_are_converted_once_and_described() {
    let described = "range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709";
    let same = ("in_color_matrix=bt709:out_color_matrix=bt709:out_range=tv".to_owned(), described.to_owned());
    assert_eq!(colours(&three(source())), [same.clone(), same.clone(), same.clone()]);
    let mut rgb = source();
    rgb.pixel_format = "rgb24".into();
    assert_eq!(colours(&three(rgb)), [same.clone(), same.clone(), same.clone()]);
    let mut old = source();
    old.colour.matrix = Some("bt470bg".into());
    let converted = "in_color_matrix=smpte170m:out_color_matrix=bt709:out_range=tv".to_owned();
    assert_eq!(colours(&three(old)), [(converted, described.to_owned()), same.clone(), same.clone()]);
    let mut high = source();
    (high.colour.matrix, high.tone_map) = (Some("bt2020nc".into()), ToneMap::Hable);
    let [first, second, _] = <[_; 3]>::try_from(colours(&three(high.clone()))).unwrap();
    assert_eq!((first, second), (same.clone(), same.clone()), "tone mapping has converted it");
    let mut kept = three(high);
    kept.branches[0].keeps_range = true;
    kept.branches[0].colour = Some(kept.clips[0].colour.clone());
    assert!(colours(&kept)[0].0.starts_with("in_color_matrix=bt2020:out_color_matrix=bt2020:"));
}

#[test]
fn unknown_matrix_is_left_alone() {
    let mut odd = three(source());
    odd.clips[0].colour.matrix = Some("ycgco".into());
    odd.branches[0].colour = Some(odd.clips[0].colour.clone());
    for (options, told) in colours(&odd) {
        assert_eq!(options, "out_range=tv");
        assert!(told.ends_with("colorspace=ycgco"), "{told}");
    }
}

#[test]
fn two_rates_share_one_decode() {
    let mut encode = three(source());
    let mut second = encode.branches[0].clone();
    second.rate = FrameRate::new(50, 1).unwrap();
    second.renditions = vec![rendition(3, ScaleSource::Source, Size::new(960, 540), Size::new(640, 540))];
    encode.branches.push(second);
    let command = line(encode_video(
        &encode,
        EncodedFrom { inputs: &["/w/i".into()], captions: &[], images: &[], analysis: None },
        Path::new("/w"),
        None,
    ));
    assert!(
        command.contains("[prepared]split=2[r0][r1]") && command.contains("[r1]fps=fps=50:"),
        "{command}"
    );
    assert!(command.contains("[p3]crop=640:540,setsar=1[v3]"), "{command}");
}

fn part(streams: &[u32], channels: u16, length: Option<i64>) -> AudioPart {
    AudioPart {
        input: 0,
        streams: streams.to_vec(),
        channels,
        sample_rate_hz: 44_100,
        is_jittery: false,
        start: ExactTime::from_millis(60),
        offset: ExactTime::from_millis(-40),
        length: length.map(ExactTime::from_millis),
    }
}

fn sound(parts: Vec<AudioPart>, channels: u16) -> AudioEncode {
    let rate = AudioRate::BitRate(160_000);
    let coding = AudioCoding { codec: AudioCodec::Aac, rate, sample_rate_hz: 48_000, channels };
    AudioEncode {
        index: 2,
        parts,
        end: ExactTime::from_millis(1000),
        source_packet: ExactTime::ZERO,
        remix: None,
        loudness: None,
        coding,
    }
}

fn graph(encode: &AudioEncode) -> String {
    audio_graph(encode, None)
}

#[test]
fn audio_is_moved_by_start_and_offset() {
    let encode = sound(vec![part(&[4], 2, None)], 2);
    let command = encode_audio(&encode, None, &["/w/input".into()], Path::new("/w/audio-2"));
    insta::assert_snapshot!(line(command));
}

#[test]
fn parts_have_exact_lengths_and_missing_tracks_are_silent() {
    let encode = sound(vec![part(&[1], 2, Some(1001)), part(&[], 0, Some(500)), part(&[1], 1, None)], 2);
    let graph = graph(&encode);
    assert!(graph.contains("apad=whole_len=48048,atrim=end_sample=48048[part0]"), "{graph}");
    assert!(graph.contains("anullsrc=r=48000:cl=stereo,apad=whole_len=24000,atrim=end_sample=24000[part1]"));
    assert!(graph.contains("[2:1]asetpts="), "the third file belongs to the third part: {graph}");
    assert!(graph.ends_with("[part0][part1][part2]concat=n=3:v=0:a=1,anull[sound]"), "{graph}");
}

#[test]
fn channels_are_combined_as_the_job_says() {
    let side_by_side = graph(&sound(vec![part(&[1, 2], 2, None)], 2));
    assert!(
        side_by_side.contains("amerge=inputs=2,pan=stereo|c0=c0|c1=c1,atrim=end_sample=48000[part0]"),
        "{side_by_side}"
    );
    let mixed_down = graph(&sound(vec![part(&[1], 6, None)], 2));
    assert!(
        mixed_down.contains("aformat=channel_layouts=stereo,atrim=end_sample=48000[part0]"),
        "{mixed_down}"
    );
    let mut remixed = sound(vec![part(&[1], 2, None)], 2);
    remixed.remix = Some(Remix { gains: vec![vec![Some(0), Some(-6000), Some(0)], vec![None, None, None]] });
    // This part has no third channel, so it is silent.
    assert!(graph(&remixed).contains("pan=stereo|c0=1.000000*c0+0.501187*c1|c1=0*c0"), "{}", graph(&remixed));
}

#[test]
fn resampler_runs_from_the_start_and_leaves_equal_rates_alone() {
    let filter = |part: AudioPart| {
        let graph = graph(&sound(vec![part], 2));
        graph.split("aresample=").nth(1).and_then(|rest| rest.split(',').next()).unwrap().to_owned()
    };
    let lossy = part(&[1], 2, None);
    assert_eq!(filter(lossy.clone()), "48000:flags=res:async=1000:min_hard_comp=0.015:first_pts=0");
    let equal = AudioPart { sample_rate_hz: 48_000, ..lossy.clone() };
    let exact =
        "48000:flags=res:cutoff=1:internal_sample_fmt=fltp:async=1000:min_hard_comp=0.015:first_pts=0";
    assert_eq!(filter(equal), exact);
    let live = AudioPart { is_jittery: true, ..lossy };
    assert_eq!(
        filter(live),
        "48000:flags=res:async=1000:first_pts=0",
        "rough time stamps are not taken for gaps"
    );
}

#[test]
fn gain_follows_all_parts() {
    let encode = sound(vec![part(&[1], 2, None)], 2);
    let gain = Gain { millidecibels: -1250, peak_millidbfs: Some(-1000) };
    let command = line(encode_audio(&encode, Some(gain), &["/i".into()], Path::new("/w")));
    assert!(command.contains("volume=-1.250dB,alimiter=limit=0.891251:level=0[sound]"), "{command}");
}

#[test]
fn two_clips_are_scaled_separately_and_concatenated() {
    let mut encode = three(source());
    let second = SourceVideo {
        input: 1,
        seek: ExactTime::from_millis(9000),
        start: ExactTime::from_millis(10_000),
        ..source()
    };
    encode.clips.push(second);
    let branch = &mut encode.branches[0];
    (branch.frames, branch.clip_frames) = (1593, vec![1493, 100]);
    for rendition in &mut branch.renditions {
        let crop = Rectangle { x: 10, y: 20, size: Size::new(400, 300) };
        rendition.pictures.push(Picture { crop: Some(crop), size: Size::new(320, 240), at: Some((4, 8)) });
    }
    let command = line(encode_video(
        &encode,
        EncodedFrom { inputs: &["/a".into(), "/b".into()], captions: &[], images: &[], analysis: None },
        Path::new("/w"),
        None,
    ));
    assert!(command.contains("-ss 9.000000 ") && command.contains("file:/b "), "{command}");
    assert!(command.contains("[1:1]setpts=round(PTS-(10)/(1)/TB)[c1prepared]"), "{command}");
    assert!(command.contains("[c1s0]crop=400:300:10:20:exact=1,scale=320:240"), "{command}");
    assert!(command.contains("[c1p2]pad=640:480:4:8:black,setsar=1[c1v2]"), "{command}");
    assert!(command.contains("[c0v2][c1v2]concat=n=2:v=1:a=0[v2]"), "{command}");
}

fn file(container: Container, with_sound: bool) -> FileOutput {
    let rate = AudioRate::BitRate(96_000);
    let coding = AudioCoding { codec: AudioCodec::Aac, rate, sample_rate_hz: 48_000, channels: 2 };
    let sound = AudioStream { index: 2, language: Some("spa".into()), name: Some("Español".into()), coding };
    let streams = Streams { video: Some(0), audio: if with_sound { vec![sound] } else { vec![] } };
    FileOutput { output: 1, streams, texts: Vec::new(), fast_start: container.has_boxes(), container }
}

#[test]
fn packaging_copies_both_streams() {
    let output = file(Container::Mp4, true);
    let sounds = [PathBuf::from("/w/a.mp4")];
    let with = package(
        &output,
        StreamFiles { video: Some(Path::new("/w/v.mp4")), audio: &sounds, texts: &[] },
        Path::new("/w/package-1"),
    );
    insta::assert_snapshot!(line(with));
    let silent = FileOutput { fast_start: false, ..file(Container::Mp4, false) };
    let without = line(package(
        &silent,
        StreamFiles { video: Some(Path::new("/v")), audio: &[], texts: &[] },
        Path::new("/w"),
    ));
    assert!(!without.contains("1:a:0") && !without.contains("faststart"), "{without}");
}

#[test]
fn each_container_has_its_muxer() {
    let of = |container: Container| {
        line(package(
            &file(container, true),
            StreamFiles { video: Some(Path::new("/v")), audio: &["/a".into()], texts: &[] },
            Path::new("/w"),
        ))
    };
    assert!(of(Container::Mov).ends_with("-f mov file:/w/output-1.mov"));
    assert!(of(Container::WebM).ends_with("-f webm file:/w/output-1.webm"));
    let raw = FileOutput {
        streams: Streams { video: None, ..file(Container::Ogg, true).streams },
        ..file(Container::Raw(AudioCodec::Aac), true)
    };
    let raw =
        line(package(&raw, StreamFiles { video: None, audio: &["/a".into()], texts: &[] }, Path::new("/w")));
    assert!(raw.contains("-map 0:a:0") && raw.ends_with("-f adts file:/w/output-1.aac"), "{raw}");
}

#[test]
fn path_is_never_a_url_or_flag() {
    let encode = AudioEncode { index: 0, ..sound(vec![part(&[0], 1, None)], 1) };
    let command = line(encode_audio(&encode, None, &["-y".into()], Path::new("http:")));
    assert!(command.contains("-i file:-y ") && command.ends_with("file:http:/audio-0.mp4"), "{command}");
}

#[test]
fn captions_are_drawn_on_their_rendition_only() {
    let mut encode = three(source());
    encode.branches[0].renditions[1].overlays = vec![Overlay::Captions(1)];
    let scripts = ["/w/0.ass".into(), "/o'neil: [a],b/1.ass".into()];
    let command = line(encode_video(
        &encode,
        EncodedFrom { inputs: &["/w/i".into()], captions: &scripts, images: &[], analysis: None },
        Path::new("/w"),
        None,
    ));
    let drawn = r"setsar=1[f1];";
    assert!(command.contains(drawn), "{command}");
    assert!(command.contains(r"[f1]ass=filename=/o\\\'neil\\:\\\ \[a\]\,b/1.ass[v1]"), "{command}");
    assert_eq!(command.matches("ass=").count(), 1, "{command}");
}

#[test]
fn text_streams_come_last() {
    let mut output = file(Container::Mp4, true);
    output.texts = vec![abanico_plan::TextStream {
        captions: 0,
        language: Some("spa".into()),
        name: Some("Español".into()),
    }];
    let files =
        StreamFiles { video: Some(Path::new("/v")), audio: &["/a".into()], texts: &["/t.srt".into()] };
    let command = line(package(&output, files, Path::new("/w")));
    for part in [
        "-i file:/a -f srt -i file:/t.srt -map 0:v:0 -map 1:a:0",
        "-map 2:s:0 -metadata:s:s:0 language=spa -metadata:s:s:0 title=Español",
        "-disposition:s:0 0 -c copy -c:s mov_text",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
}

#[test]
fn first_pass_writes_statistics_and_second_reads_them() {
    let mut first = three(source());
    first.branches[0].renditions.truncate(1);
    first.branches[0].renditions[0].pass = Pass::First;
    let from = EncodedFrom { inputs: &["/w/i".into()], ..EncodedFrom::default() };
    let command = line(encode_video(&first, from, Path::new("/w: x"), None));
    assert!(
        command.contains(r":weightp=1:rc-lookahead=40:pass=1:stats=/w\:\ x/first-pass-0.log"),
        "{command}"
    );
    assert!(command.ends_with("-fps_mode passthrough -f null -"), "{command}");
    let mut second = three(source());
    second.branches[0].renditions[1].pass = Pass::Second(1);
    let from = EncodedFrom { analysis: Some(Path::new("/a")), ..from };
    let command = line(encode_video(&second, from, Path::new("/w"), None));
    assert_eq!(command.matches(":weightp=1:pass=2:stats=/a/first-pass-1.log").count(), 1, "{command}");
}

#[test]
fn sample_is_kept_as_source_and_as_coded() {
    let mut sample = three(source());
    sample.branches[0].renditions.truncate(1);
    let sampling = Sampling { metric: QualityMetric::Vmaf, every: 24, taken: 6 };
    sample.branches[0].renditions[0].pass = Pass::Sample(sampling);
    let from = EncodedFrom { inputs: &["/w/i".into()], ..EncodedFrom::default() };
    let command = line(encode_video(&sample, from, Path::new("/w"), None));
    for part in [
        "select='lt(mod(n,24),6)',setpts=N/(",
        ",split[v0][w0]",
        "file:/w/sample-0-coded.mp4 -map [w0]",
        "-qp 0",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
    assert!(command.ends_with("file:/w/sample-0-source.mp4"), "{command}");
    let measured = line(measure_quality(0, QualityMetric::Vmaf, Path::new("/w"), Some(1)));
    let graph =
        "[coded][source]libvmaf=n_threads=1:n_subsample=2:log_fmt=json:log_path=/w/quality-0.log[measured]";
    assert!(measured.contains(graph), "{measured}");
    assert!(measured.contains("-i file:/w/sample-0-coded.mp4 -threads 1 -i file:/w/sample-0-source.mp4"));
    let by_ssim = line(measure_quality(0, QualityMetric::Ssim, Path::new("/w"), None));
    assert!(by_ssim.contains("ssim=stats_file=/w/quality-0.log"), "{by_ssim}");
}

#[test]
fn zones_reach_the_encoder() {
    let mut levelled = three(source());
    levelled.branches[0].renditions[1].coding.zones = vec![
        Zone { first: 0, last: 49, bits_permille: 1587 },
        Zone { first: 50, last: 99, bits_permille: 630 },
    ];
    let from = EncodedFrom { inputs: &["/w/i".into()], ..EncodedFrom::default() };
    let command = line(encode_video(&levelled, from, Path::new("/w"), None));
    assert_eq!(command.matches(":zones=0,49,b=1.587/50,99,b=0.630").count(), 1, "{command}");
    assert_eq!(command.matches("zones").count(), 1, "{command}");
}

#[test]
fn chunk_has_exact_frames_and_stitchable_parameters() {
    let mut chunk = three(source());
    chunk.chunk = Some(3);
    let branch = &mut chunk.branches[0];
    branch.run = Some(FrameRun { first: 480, lead: 12 });
    (branch.frames, branch.clip_frames) = (240, vec![240]);
    branch.renditions[0].key_frame_every = Some(ExactTime::from_millis(4000));
    let from = EncodedFrom { inputs: &["/w/i".into()], ..EncodedFrom::default() };
    let command = line(encode_video(&chunk, from, Path::new("/w"), Some(1)));
    for part in [
        // The time of frame 468 at 24000/1001.
        "setpts=round(PTS-(39039)/(2000)/TB),fps=fps=24000/1001:start_time=0:round=near:eof_action=pass,",
        "trim=end_frame=252,trim=start_frame=12,setpts=PTS-12[s0]",
        // Frame 480 is the first after 20 s, the sixth forced key frame: five came before.
        "-force_key_frames expr:gte(t+1001/50+0.000001,(n_forced+5)*4/1)",
        ":stitchable=1",
        "-filter_complex_threads 1 -threads 1 -noautorotate",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
}

#[test]
fn intermediate_scales_are_not_encoded() {
    let encode = three(source()).only(&[2]);
    let scaled: Vec<bool> = encode.renditions().map(|(_, rendition)| rendition.only_scaled).collect();
    assert_eq!(scaled, [true, true, false]);
    let from = EncodedFrom { inputs: &["/w/i".into()], ..EncodedFrom::default() };
    let command = line(encode_video(&encode, from, Path::new("/w"), None));
    assert!(command.contains("[s0]scale=1920:1080") && command.contains("bt709[s1];[s1]scale="), "{command}");
    assert_eq!((command.matches("-map [v").count(), command.contains("[p0]")), (1, false), "{command}");
}

#[test]
fn excerpt_of_a_clip_is_drawn_over_and_shown_as_it_is_stored() {
    let mut encode = three(source());
    encode.clips.push(SourceVideo {
        input: 1,
        seek: ExactTime::from_millis(9000),
        compared_from: Some(ExactTime::from_millis(4000)),
        ..source()
    });
    let branch = &mut encode.branches[0];
    (branch.frames, branch.clip_frames) = (1593, vec![1493, 100]);
    for rendition in &mut branch.renditions {
        rendition.pictures.push(rendition.pictures[0]);
    }
    branch.renditions[0].overlays = vec![Overlay::Captions(0)];
    let whole = |index: u32| MadeFiles {
        rendition: index,
        first_frame: 0,
        files: vec![PathBuf::from(format!("/w/video-{index}.mp4"))],
    };
    let made: Vec<MadeFiles> = (0..3).map(whole).collect();
    let (inputs, captions) = (["/i0".into(), "/i1".into()], ["/c".into()]);
    let from = EncodedFrom { inputs: &inputs, captions: &captions, ..EncodedFrom::default() };
    let shown =
        |clip| line(show_excerpt(&Excerpt::of_clip(&encode, clip).unwrap(), from, &made, Path::new("/w")));
    let (first, second) = (shown(0), shown(1));
    for index in 0..3 {
        assert!(first.contains(&format!("-noautorotate -i file:/w/video-{index}.mp4")), "{first}");
    }
    assert!(
        first.contains("ass=filename=/c[v0]") && !first.contains("/i1") && !first.contains("-ss"),
        "{first}"
    );
    // What is drawn over the whole film is not drawn over the excerpt of a later clip.
    assert!(!second.contains("video-0.mp4") && !second.contains("ass="), "{second}");
    assert!(second.contains("-ss 4.000000 ") && second.contains("trim=end_frame=12"), "{second}");
    // Half a frame before the clip's first one, at 24000/1001 frames a second.
    assert!(second.contains("-ss 62.249688 -noautorotate -i file:/w/video-1.mp4"), "{second}");
    encode.clips[1].compared_from = None;
    assert!(Excerpt::of_clip(&encode, 1).is_none() && Excerpt::of_clip(&encode, 2).is_none());
}
