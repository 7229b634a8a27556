"""The expected outputs of each real file.

The number of frames is the time from the source's first picture to its last, times the output rate. Sizes keep the aspect ratio
that a viewer sees. For odd files, sizes and frames were read from `abanico plan` and then compared with the facts that came with
the files, and mostly also with packets counted by ffprobe. For the bench files, they were worked out independently of abanico.
"""

from __future__ import annotations

from fractions import Fraction

from transcoding import Expected, Refusal

NTSC_30, NTSC_24, NTSC_60 = Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001)
UHD_LADDER = {"1080p": (1920, 1080), "720p": (1280, 720), "480p": (854, 480)}
HD_LADDER = {"720p": (1280, 720), "480p": (854, 480)}
HD_UPRIGHT = {"720p": (720, 1280), "480p": (480, 854)}
SD_WIDE = {"480p": (854, 480)}


def _ladder(sizes: dict[str, tuple[int, int]], rate: int | Fraction, frames: int, *, sound: bool) -> Expected:
    return Expected(sizes=sizes, rate=Fraction(rate), frames=frames, has_sound=sound)


# Renditions of the default ladder, for every file of `odd/` that has video.
ODD = {
    "av1_10bit_opus.webm": _ladder({"480p": (560, 320)}, 30, 30, sound=True),
    "cinepak_avi_noaudio.avi": _ladder({"480p": (320, 240)}, 15, 444, sound=False),
    "derived_interlaced_tff_mpeg2_noaudio.ts": _ladder(SD_WIDE, NTSC_30, 120, sound=False),
    "derived_prores_proxy_pcm51.mov": _ladder(HD_LADDER, 25, 12, sound=True),
    "derived_three_audio_two_subs.mkv": _ladder(SD_WIDE, 25, 227, sound=True),
    "derived_ts_pts_rollover.ts": _ladder(SD_WIDE, 25, 240, sound=True),
    "edit_list_negative_dts_noaudio.mp4": _ladder({"720p": (704, 576), "480p": (586, 480)}, 1, 12, sound=False),
    "fragmented_wrong_duration.mp4": _ladder({"720p": (1080, 720), "480p": (720, 480)}, NTSC_30, 30, sound=True),
    "h264_high10_4k_hlg_pattern.mp4": _ladder(UHD_LADDER, 30, 420, sound=False),
    "hdr10_pq_av1_portrait.mp4": _ladder(HD_UPRIGHT, NTSC_30, 127, sound=True),
    "hlg_hevc_main10_1080p.mp4": _ladder(UHD_LADDER, 30, 9, sound=True),
    "iphone_dolbyvision84_hlg.MOV": _ladder(HD_UPRIGHT, 30, 4, sound=True),
    "moov_at_end_mono.mp4": _ladder({"480p": (560, 320)}, 30, 166, sound=True),
    "mpeg2_1080p24_mp2.ts": _ladder(UHD_LADDER, 24, 60, sound=True),
    "no_duration_mediarecorder.webm": _ladder(HD_LADDER, 15, 74, sound=True),
    "one_frame_full_range_high10.mp4": _ladder(HD_LADDER, 25, 1, sound=False),
    "phone_4k60_rotate90_full_range.mp4": _ladder({"1080p": (1080, 1920), **HD_UPRIGHT}, 60, 18, sound=True),
    "phone_rotate180_vfr.mp4": _ladder(HD_LADDER, 12, 29, sound=True),
    "phone_rotate90_ios9.mov": _ladder(HD_UPRIGHT, 30, 14, sound=True),
    "resolution_change_midstream.webm": _ladder({"480p": (60, 40)}, 30, 197, sound=False),
    "rotate90_and_mirror.mp4": _ladder({"720p": (720, 1080), "480p": (480, 720)}, NTSC_30, 30, sound=True),
    "sar_2x1.mp4": _ladder({"720p": (1280, 360), "480p": (854, 240)}, 30, 150, sound=False),
    "ts_gap_missing_segment_51.ts": _ladder(SD_WIDE, 25, 288, sound=True),
    "ts_large_start_pts_noaudio.ts": _ladder(SD_WIDE, 24, 147, sound=False),
    "vfr_phone_screen_recording.mp4": _ladder(
        {"1080p": (910, 1920), "720p": (606, 1280), "480p": (404, 854)}, 60, 503, sound=False
    ),
    "vp8_48fps_reported_1000.webm": _ladder({"480p": (640, 360)}, 24, 49, sound=True),
    "vp9_540p60_vorbis51.webm": _ladder({"720p": (960, 540), "480p": (854, 480)}, 60, 60, sound=True),
    "vp9_odd_dimensions_161x121.webm": _ladder({"480p": (162, 122)}, NTSC_30, 30, sound=False),
    "wrong_extension_webm_named.mp4": _ladder({"480p": (320, 240)}, NTSC_30, 82, sound=False),
}

# Files whose pictures are stored rotated or mirrored. The size alone does not show whether an output is upright.
TURNED = (
    "iphone_dolbyvision84_hlg.MOV",
    "phone_4k60_rotate90_full_range.mp4",
    "phone_rotate180_vfr.mp4",
    "phone_rotate90_ios9.mov",
    "rotate90_and_mirror.mp4",
)


# Files of `odd/` and `broken/` that cannot become a video.
REFUSED = {
    "odd/audio_only_mono_16khz.mp4": Refusal(1020, "no video"),
    "broken/corrupt_moov_header.mp4": Refusal(1010, "header may be damaged"),
    "broken/hls_playlist_reads_neighbour.mp4": Refusal(1010, "playlist"),
    "broken/hls_playlist_ssrf.mp4": Refusal(1010, "playlist"),
    "broken/random_bytes.mp4": Refusal(1010, "not a media file"),
    "broken/text_file.mp4": Refusal(1010, "not a media file"),
    "broken/truncated_in_the_middle.mp4": Refusal(1076, "cut off"),
    "broken/truncated_moov_missing.mp4": Refusal(1076, "cut off"),
    "broken/vp9_header_12336x12336.webm": Refusal(1030, "12336x12336"),
    "broken/zero_bytes.mp4": Refusal(1010, "empty"),
    "broken/zero_video_frames.ts": Refusal(1020, "no video"),
}

# Number of frames (counted as packets), rate and presence of audio of the sources in `bench/`.
BENCH = {
    "bbb_1080p25_60s_aac51.ts": (1557, Fraction(25), True),
    "bbb_720p30_30s_aac.ts": (912, Fraction(30), True),
    "car_detection_432p12_30s_aac.mp4": (377, Fraction(25, 2), True),
    "motorway_540p5994_30s_noaudio.mp4": (1769, NTSC_60, False),
    "sintel_trailer_720p24_52s_aac.mp4": (1253, Fraction(24), True),
}


def bench_expected(name: str, sizes: dict[str, tuple[int, int]]) -> Expected:
    """Returns what the three-preset job must make: 24000/1001 frames per second, with the source's length."""
    frames, rate, has_sound = BENCH[name]
    return Expected(sizes=sizes, rate=NTSC_24, frames=round(frames / rate * NTSC_24), has_sound=has_sound)


# What is special about each file, for docs/MEDIA_RESULTS.md.
SPECIAL = {
    "bbb_1080p25_60s_aac51.ts": "animation, 5.1 audio",
    "bbb_720p30_30s_aac.ts": "transport stream, 44.1 kHz audio",
    "car_detection_432p12_30s_aac.mp4": "camera at 12.5 fps, smpte170m colours",
    "motorway_540p5994_30s_noaudio.mp4": "camera at 59.94 fps, no audio",
    "sintel_trailer_720p24_52s_aac.mp4": "cuts and fades, index at the end",
    "audio_only_mono_16khz.mp4": "audio only",
    "av1_10bit_opus.webm": "AV1 10 bit, Opus mono",
    "cinepak_avi_noaudio.avi": "Cinepak in AVI, RGB",
    "derived_interlaced_tff_mpeg2_noaudio.ts": "interlaced, pixel aspect 32:27",
    "derived_prores_proxy_pcm51.mov": "ProRes 4:2:2 10 bit, PCM 5.1",
    "derived_three_audio_two_subs.mkv": "three audio tracks (default: the second), two subtitle tracks",
    "derived_ts_pts_rollover.ts": "33-bit clock wraps within the file",
    "edit_list_negative_dts_noaudio.mp4": "edit list hides the first samples; 1 fps, 4:4:4",
    "fragmented_wrong_duration.mp4": "header claims 39 hours, content lasts 1 s",
    "h264_high10_4k_hlg_pattern.mp4": "4K, 10 bit, HLG",
    "hdr10_pq_av1_portrait.mp4": "HDR10, portrait",
    "hlg_hevc_main10_1080p.mp4": "HLG HEVC, audio is the first stream",
    "iphone_dolbyvision84_hlg.MOV": "Dolby Vision 8.4, rotated, three data tracks",
    "moov_at_end_mono.mp4": "index at the end, mono",
    "mpeg2_1080p24_mp2.ts": "MPEG-2 with MP2 audio",
    "no_duration_mediarecorder.webm": "recorded by a browser: no duration",
    "one_frame_full_range_high10.mp4": "one frame, full range",
    "phone_4k60_rotate90_full_range.mp4": "4K60, rotated, full range",
    "phone_rotate180_vfr.mp4": "upside down, variable frame rate",
    "phone_rotate90_ios9.mov": "rotated, data tracks, mono",
    "resolution_change_midstream.webm": "frame size changes midstream",
    "rotate90_and_mirror.mp4": "rotated and mirrored",
    "sar_2x1.mp4": "pixel aspect 2:1",
    "ts_gap_missing_segment_51.ts": "two seconds are missing",
    "ts_large_start_pts_noaudio.ts": "starts at 481 s",
    "vfr_phone_screen_recording.mp4": "one frame lasts 2.2 s; 1080x2280",
    "vp8_48fps_reported_1000.webm": "probe reports 1000 fps",
    "vp9_540p60_vorbis51.webm": "VP9 60 fps, Vorbis 5.1",
    "vp9_odd_dimensions_161x121.webm": "odd width and height",
    "wrong_extension_webm_named.mp4": "WebM named .mp4",
    "corrupt_moov_header.mp4": "track headers overwritten",
    "hls_playlist_reads_neighbour.mp4": "playlist that refers to another file",
    "hls_playlist_ssrf.mp4": "playlist that refers to hosts",
    "random_bytes.mp4": "random bytes",
    "text_file.mp4": "plain text",
    "truncated_in_the_middle.mp4": "second half is missing",
    "truncated_moov_missing.mp4": "index is missing",
    "vp9_header_12336x12336.webm": "claims 12336x12336",
    "zero_bytes.mp4": "empty",
    "zero_video_frames.ts": "announces video, has none",
}
