//! Builds the settings of jobs, presets and templates with the SDK's typed builders.

use aws_sdk_mediaconvert::types::{
    AacCodingMode, AacSettings, AudioCodec, AudioCodecSettings, AudioDefaultSelection, AudioDescription,
    AudioSelector, ContainerSettings, ContainerType, FileGroupSettings, FrameCaptureSettings,
    H264GopSizeUnits, H264QualityTuningLevel, H264RateControlMode, H264Settings, Input, InputTemplate,
    JobSettings, JobTemplateSettings, Output, OutputGroup, OutputGroupSettings, OutputGroupType,
    PresetSettings, VideoCodec, VideoCodecSettings, VideoDescription,
};

/// The preset that the jobs use.
pub(crate) const PRESET: &str = "from-rust";

const SOUND: &str = "Audio Selector 1";

/// A job with one input and three outputs: one by preset, one with its own settings, and images, one per second.
pub(crate) fn three_outputs(input: &str, destination: &str) -> JobSettings {
    JobSettings::builder()
        .inputs(Input::builder().file_input(input).audio_selectors(SOUND, first_sound()).build())
        .output_groups(group(destination, vec![by_preset(), small(), images()]))
        .build()
}

/// A job whose outputs come from a template.
pub(crate) fn input_alone(input: &str) -> JobSettings {
    let input = Input::builder().file_input(input).audio_selectors(SOUND, first_sound()).build();
    JobSettings::builder().inputs(input).build()
}

/// A job without inputs and outputs, which is refused.
pub(crate) fn nothing() -> JobSettings {
    JobSettings::builder().set_inputs(Some(Vec::new())).set_output_groups(Some(Vec::new())).build()
}

/// A job with a width that no codec supports.
pub(crate) fn too_wide(input: &str) -> JobSettings {
    let video =
        VideoDescription::builder().width(1_000_000).height(180).codec_settings(h264(400_000)).build();
    let output = Output::builder().container_settings(mp4()).video_description(video).build();
    JobSettings::builder()
        .inputs(Input::builder().file_input(input).build())
        .output_groups(group("s3://renditions/wide/", vec![output]))
        .build()
}

/// The settings of a custom job template.
pub(crate) fn template(destination: &str) -> JobTemplateSettings {
    JobTemplateSettings::builder()
        .inputs(InputTemplate::builder().audio_selectors(SOUND, first_sound()).build())
        .output_groups(group(destination, vec![by_preset()]))
        .build()
}

/// H.264 of this size with AAC, in an MP4.
pub(crate) fn preset(width: i32, height: i32) -> PresetSettings {
    PresetSettings::builder()
        .container_settings(mp4())
        .video_description(video(width, height, 800_000))
        .audio_descriptions(aac())
        .build()
}

fn group(destination: &str, outputs: Vec<Output>) -> OutputGroup {
    let files = FileGroupSettings::builder().destination(destination).build();
    let settings =
        OutputGroupSettings::builder().r#type(OutputGroupType::FileGroupSettings).file_group_settings(files);
    OutputGroup::builder().output_group_settings(settings.build()).set_outputs(Some(outputs)).build()
}

fn by_preset() -> Output {
    Output::builder().preset(PRESET).name_modifier("_preset").build()
}

fn small() -> Output {
    Output::builder()
        .name_modifier("_small")
        .container_settings(mp4())
        .video_description(video(160, 90, 300_000))
        .audio_descriptions(aac())
        .build()
}

fn images() -> Output {
    let capture = FrameCaptureSettings::builder().framerate_numerator(1).framerate_denominator(1).quality(80);
    let codec =
        VideoCodecSettings::builder().codec(VideoCodec::FrameCapture).frame_capture_settings(capture.build());
    let video = VideoDescription::builder().width(160).height(90).codec_settings(codec.build()).build();
    let container = ContainerSettings::builder().container(ContainerType::Raw).build();
    Output::builder().name_modifier("_image").container_settings(container).video_description(video).build()
}

fn first_sound() -> AudioSelector {
    AudioSelector::builder().default_selection(AudioDefaultSelection::Default).build()
}

fn mp4() -> ContainerSettings {
    ContainerSettings::builder().container(ContainerType::Mp4).build()
}

fn video(width: i32, height: i32, max_bit_rate_bps: i32) -> VideoDescription {
    VideoDescription::builder().width(width).height(height).codec_settings(h264(max_bit_rate_bps)).build()
}

fn h264(max_bit_rate_bps: i32) -> VideoCodecSettings {
    let settings = H264Settings::builder()
        .rate_control_mode(H264RateControlMode::Qvbr)
        .max_bitrate(max_bit_rate_bps)
        .quality_tuning_level(H264QualityTuningLevel::SinglePass)
        .gop_size(2.0)
        .gop_size_units(H264GopSizeUnits::Seconds);
    VideoCodecSettings::builder().codec(VideoCodec::H264).h264_settings(settings.build()).build()
}

fn aac() -> AudioDescription {
    let settings = AacSettings::builder()
        .bitrate(96_000)
        .coding_mode(AacCodingMode::CodingMode20)
        .sample_rate(48_000)
        .build();
    let codec = AudioCodecSettings::builder().codec(AudioCodec::Aac).aac_settings(settings).build();
    AudioDescription::builder().audio_source_name(SOUND).codec_settings(codec).build()
}
