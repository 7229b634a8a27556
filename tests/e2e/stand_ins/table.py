"""All stand-ins: the real files that each represents, how it is made, and its expected outputs.

Every number here follows from how the file is made, never from abanico's output. The number of frames is the time from the first
picture to the end of the last one, times the rate. Sizes keep the aspect ratio that a viewer sees. The pictures are a test
pattern: a stand-in has the structure of a real file, but neither the grain nor the motion of a real film.
"""

from __future__ import annotations

from fractions import Fraction

from shared_media import HD_UPRIGHT, NTSC_24, SD_WIDE, UHD_LADDER
from stand_ins import bench_films, broken_files, mp4_files, phones, transport_streams, webm_files
from stand_ins.row import StandIn, becomes, small
from transcoding import Expected, Refusal

NTSC_30 = "30000/1001"
# In `phones.screen_recording`, each frame lasts 1000 ticks and one lasts 198,000. A variable rate becomes at most 60
# frames per second.
RECORDED_FRAMES = round(Fraction(45_000 + 198_000 + 45_000, 90_000) * 60)


def _three_presets(frames: int, rate: str, *, sound: bool = True) -> Expected:
    """Returns what the three-preset job must make: 24000/1001 frames per second, with the source's length."""
    return Expected(sizes={}, rate=NTSC_24, frames=round(frames / Fraction(rate) * NTSC_24), has_sound=sound)


# Films for the three-preset job.
BENCH = (
    StandIn(
        "surround_1080p25.ts", "animation in 1080p with 5.1 audio", ("bbb_1080p25_60s_aac51.ts",),
        bench_films.surround_1080p, _three_presets(10, "25"),
    ),
    StandIn(
        "stereo_720p30.ts", "transport stream with audio at 44.1 kHz", ("bbb_720p30_30s_aac.ts",),
        bench_films.stereo_720p, _three_presets(12, "30"),
    ),
    StandIn(
        "camera_12_fps.mp4", "camera at 12.5 fps, colours of NTSC video", ("car_detection_432p12_30s_aac.mp4",),
        bench_films.camera_12_fps, _three_presets(5, "25/2"),
    ),
    StandIn(
        "camera_60_fps_silent.mp4", "camera at 59.94 fps without audio", ("motorway_540p5994_30s_noaudio.mp4",),
        bench_films.camera_60_fps, _three_presets(24, "60000/1001", sound=False),
    ),
    StandIn(
        "trailer.mp4", "fades, cuts and dark scenes, index at the end", ("sintel_trailer_720p24_52s_aac.mp4",),
        bench_films.trailer, _three_presets(12, "24"),
    ),
)  # fmt: skip

# Films with a difficulty, for the default ladder.
ODD = (
    StandIn(
        "av1_10bit_opus.webm", "AV1 in ten bits with Opus", ("av1_10bit_opus.webm",),
        webm_files.av1_ten_bit, small(320, 180, 30, 15),
    ),
    StandIn(
        "cinepak.avi", "Cinepak in AVI, frame slots without a picture", ("cinepak_avi_noaudio.avi",),
        mp4_files.cinepak, small(160, 120, 15, 30, sound=False),
    ),
    StandIn(
        "interlaced.ts", "interlaced MPEG-2 with non-square pixels", ("derived_interlaced_tff_mpeg2_noaudio.ts",),
        transport_streams.interlaced, becomes(SD_WIDE, NTSC_30, 15, sound=False),
    ),
    StandIn(
        "prores_pcm51.mov", "ProRes 4:2:2 in ten bits with PCM 5.1", ("derived_prores_proxy_pcm51.mov",),
        mp4_files.prores, small(320, 180, 25, 12),
    ),
    StandIn(
        "many_tracks.mkv", "three audio tracks (default: the second), two subtitle tracks", ("derived_three_audio_two_subs.mkv",),
        webm_files.many_tracks, becomes(SD_WIDE, 25, 25),
    ),
    StandIn(
        "clock_wraps.ts", "the 33-bit clock wraps within the file", ("derived_ts_pts_rollover.ts",),
        transport_streams.clock_wraps, small(320, 180, 25, 50),
    ),
    StandIn(
        "first_frame_hidden.mp4", "edit list hides the first frame; negative times, 1 fps, 4:4:4",
        ("edit_list_negative_dts_noaudio.mp4",),
        mp4_files.first_frame_hidden, small(352, 288, 1, 12, sound=False),
    ),
    StandIn(
        "claims_39_hours.mp4", "fragments whose header claims 39 hours", ("fragmented_wrong_duration.mp4",),
        mp4_files.claims_39_hours, small(360, 240, NTSC_30, 30),
    ),
    StandIn(
        "high10_4k_hlg.mp4", "4K in ten bits, HLG, timecode track", ("h264_high10_4k_hlg_pattern.mp4",),
        mp4_files.high10_4k, becomes(UHD_LADDER, 30, 3, sound=False),
    ),
    StandIn(
        "hdr10_portrait.mp4", "HDR10 in AV1, portrait", ("hdr10_pq_av1_portrait.mp4",),
        mp4_files.hdr10_portrait, small(180, 320, NTSC_30, 15),
        lacks="the light levels of the mastering display",
    ),
    StandIn(
        "sound_first.mp4", "HLG in HEVC after the audio; rate a little off", ("hlg_hevc_main10_1080p.mp4",),
        mp4_files.sound_first, small(320, 180, 30, 9),
    ),
    StandIn(
        "dolby_vision.MOV", "Dolby Vision 8.4, rotated, data tracks, upper-case extension", ("iphone_dolbyvision84_hlg.MOV",),
        phones.dolby_vision, small(180, 320, 30, 5), upright=(180, 320),
        lacks="Dolby Vision's metadata for each frame: only the box that announces it is present",
    ),
    StandIn(
        "index_last_mono.mp4", "index at the end, mono: a plain film", ("moov_at_end_mono.mp4",),
        mp4_files.index_at_end, small(320, 180, 30, 30),
    ),
    StandIn(
        "mpeg2_mp2.ts", "MPEG-2 with MP2 audio", ("mpeg2_1080p24_mp2.ts",),
        transport_streams.mpeg2, small(320, 180, 24, 24),
        lacks="two missing pictures in the middle; `second_is_missing.ts` has such a gap",
    ),
    StandIn(
        "live_recording.webm", "recorded live: neither a duration nor an index", ("no_duration_mediarecorder.webm",),
        webm_files.live_recording, small(320, 180, 15, 15),
    ),
    StandIn(
        "one_frame_full_range.mp4", "one frame in ten bits and full range", ("one_frame_full_range_high10.mp4",),
        mp4_files.one_frame, small(320, 180, 25, 1, sound=False),
    ),
    StandIn(
        "turned_4k60_full_range.mp4", "4K at 60 fps, rotated, full range", ("phone_4k60_rotate90_full_range.mp4",),
        phones.turned_4k_full_range, becomes({"1080p": (1080, 1920), **HD_UPRIGHT}, 60, 4), upright=(2160, 3840),
        lacks="a rate that is a little off; `sound_first.mp4` has one",
    ),
    StandIn(
        "upside_down_varying.mp4", "upside down, frames of different duration", ("phone_rotate180_vfr.mp4",),
        phones.upside_down, small(320, 180, 12, 27), upright=(320, 180),
    ),
    StandIn(
        "turned_with_data.mov", "rotated, data tracks, mono", ("phone_rotate90_ios9.mov",),
        phones.turned_with_data, small(180, 320, 30, 15), upright=(180, 320),
    ),
    StandIn(
        "size_changes.webm", "the frame size changes midstream", ("resolution_change_midstream.webm",),
        webm_files.size_changes, small(120, 80, 30, 20, sound=False),
    ),
    StandIn(
        "turned_and_mirrored.mp4", "turned and mirrored", ("rotate90_and_mirror.mp4",),
        phones.turned_and_mirrored, small(180, 270, NTSC_30, 15), upright=(180, 270),
    ),
    StandIn(
        "oblong_pixels.mp4", "pixels twice as wide as high", ("sar_2x1.mp4",),
        mp4_files.oblong_pixels, small(320, 90, 30, 30, sound=False),
    ),
    StandIn(
        "second_is_missing.ts", "a second is missing, and counters jump", ("ts_gap_missing_segment_51.ts",),
        transport_streams.second_is_missing, small(320, 180, 25, 75),
    ),
    StandIn(
        "starts_late.ts", "the clock starts at 481 s; no audio", ("ts_large_start_pts_noaudio.ts",),
        transport_streams.starts_late, small(320, 180, 24, 24, sound=False),
    ),
    StandIn(
        "screen_recording.mp4", "tall screen, one frame lasts 2.2 s", ("vfr_phone_screen_recording.mp4",),
        phones.screen_recording, small(108, 228, 60, RECORDED_FRAMES, sound=False),
    ),
    StandIn(
        "frames_of_a_millisecond.webm", "the header claims 1000 fps", ("vp8_48fps_reported_1000.webm",),
        webm_files.frames_of_a_millisecond, small(320, 180, 24, 24),
    ),
    StandIn(
        "vp9_60_fps_vorbis51.webm", "VP9 at 60 fps with Vorbis 5.1", ("vp9_540p60_vorbis51.webm",),
        webm_files.vp9_surround, small(320, 180, 60, 30),
    ),
    StandIn(
        "odd_sides.webm", "odd width and odd height", ("vp9_odd_dimensions_161x121.webm",),
        webm_files.odd_sides, small(162, 122, NTSC_30, 15, sound=False),
    ),
    StandIn(
        "webm_named.mp4", "WebM under the name of an MP4 file", ("wrong_extension_webm_named.mp4",),
        webm_files.named_mp4, small(320, 240, NTSC_30, 15, sound=False),
    ),
)  # fmt: skip

# Files that cannot become a video.
REFUSED = (
    StandIn(
        "sound_only.mp4", "sound only", ("audio_only_mono_16khz.mp4",),
        mp4_files.sound_only, Refusal(1020, "no video"),
    ),
    StandIn(
        "headers_overwritten.mp4", "the tracks' headers are overwritten", ("corrupt_moov_header.mp4",),
        broken_files.headers_overwritten, Refusal(1010, "header may be damaged"),
    ),
    StandIn(
        "playlist_of_neighbour.mp4", "playlist that refers to another file", ("hls_playlist_reads_neighbour.mp4",),
        broken_files.reads_neighbour, Refusal(1010, "playlist"),
    ),
    StandIn(
        "playlist_of_hosts.mp4", "playlist that refers to hosts", ("hls_playlist_ssrf.mp4",),
        broken_files.reads_hosts, Refusal(1010, "playlist"),
    ),
    StandIn(
        "random_bytes.mp4", "random bytes", ("random_bytes.mp4",),
        broken_files.random_bytes, Refusal(1010, "not a media file"),
    ),
    StandIn(
        "text.mp4", "plain text", ("text_file.mp4",),
        broken_files.text, Refusal(1010, "not a media file"),
    ),
    StandIn(
        "half_is_gone.mp4", "index at the start, second half missing", ("truncated_in_the_middle.mp4",),
        broken_files.half_is_gone, Refusal(1076, "cut off"),
    ),
    StandIn(
        "index_is_gone.mp4", "index at the end, and missing", ("truncated_moov_missing.mp4",),
        broken_files.index_is_gone, Refusal(1076, "cut off"),
    ),
    StandIn(
        "huge_picture.webm", "claims a picture of 12336x12336", ("vp9_header_12336x12336.webm",),
        broken_files.claims_huge_picture, Refusal(1030, "12336x12336"),
    ),
    StandIn(
        "empty.mp4", "empty", ("zero_bytes.mp4",),
        broken_files.empty, Refusal(1010, "empty"),
    ),
    StandIn(
        "pictures_announced_only.ts", "announces video, has none", ("zero_video_frames.ts",),
        transport_streams.announced_only, Refusal(1020, "no video"),
    ),
)  # fmt: skip

ALL = {row.name: row for row in (*BENCH, *ODD, *REFUSED)}
