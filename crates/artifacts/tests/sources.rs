//! Decodes films from files with holes: the frames are those of the whole film, and few bytes are fetched.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abanico_artifacts::{RangedSource, Source, WholeSources};
use abanico_media::{ExactTime, Rational};
use abanico_package::{TimeRun, Tracks};
use abanico_store::{ErrorKind, FillOptions, FolderStore, ObjectAttributes, ObjectStore, ObjectUrl};
use abanico_testkit::{Clip, Sound};
use common::{Steered, Steering, endpoint};

/// A packet of a film's video, as ffprobe tells it.
struct Packet {
    shown: f64,
    place: u64,
    size: u64,
    is_key: bool,
}

fn run(program: &str, arguments: &[&str]) -> (String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

fn packets(film: &Path) -> Vec<Packet> {
    let entries = "packet=pts_time,pos,size,flags";
    let film = film.to_str().unwrap();
    let words = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", film];
    let told: serde_json::Value = serde_json::from_str(&run("ffprobe", &words).0).unwrap();
    let text = |packet: &serde_json::Value, name: &str| packet[name].as_str().unwrap().to_owned();
    let packet = |packet: &serde_json::Value| Packet {
        shown: text(packet, "pts_time").parse().unwrap(),
        place: text(packet, "pos").parse().unwrap(),
        size: text(packet, "size").parse().unwrap(),
        is_key: text(packet, "flags").contains('K'),
    };
    told["packets"].as_array().unwrap().iter().map(packet).collect()
}

fn start_of_clock(film: &Path) -> f64 {
    let film = film.to_str().unwrap();
    let words = ["-v", "error", "-show_entries", "format=start_time", "-of", "csv=p=0", film];
    run("ffprobe", &words).0.trim().parse().unwrap()
}

fn time(seconds: f64) -> ExactTime {
    #[allow(clippy::cast_possible_truncation, reason = "small")]
    ExactTime::from_seconds(Rational::new((seconds * 1_000_000.0).round() as i64, 1_000_000))
}

/// Hashes of the frames of a run, and what ffmpeg complains about. Reads as encodes of chunks do: seeks, and throws away by
/// their times what lies outside.
fn frames(film: &Path, clock: f64, run_s: &Range<f64>, stream: &str) -> (String, String) {
    let Range { start: from, end: to } = run_s;
    let seek = format!("{:.6}", from - clock);
    let mut words = vec!["-nostdin", "-v", "warning", "-copyts", "-noautorotate"];
    if *from > clock {
        words.extend(["-ss", &seek]);
    }
    let (video, audio) = (format!("trim=start={from}:end={to}"), format!("atrim=start={from}:end={to}"));
    words.extend(["-protocol_whitelist", "file", "-i", film.to_str().unwrap(), "-map", stream]);
    words.extend(if stream.contains('v') { ["-vf", &video] } else { ["-af", &audio] });
    words.extend(["-f", "framemd5", "-"]);
    run("ffmpeg", &words)
}

struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: Arc<dyn ObjectStore>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, store) = (folder.path().to_owned(), endpoint(&folder.path().join("s3")).await);
        Self { _folder: folder, path, store }
    }

    async fn upload(&self, film: &Path) -> ObjectUrl {
        let url = ObjectUrl::s3("bucket", film.file_name().unwrap().to_str().unwrap());
        self.store.publish(film, &url, &ObjectAttributes::default()).await.unwrap();
        url
    }

    async fn open(&self, film: &Path) -> Source {
        Source::open(&*self.store, &self.upload(film).await).await.unwrap()
    }

    async fn in_ranges(&self, film: &Path) -> RangedSource {
        match self.open(film).await {
            Source::InRanges(source) => source,
            Source::Whole { why, .. } => panic!("{}: {why}", film.display()),
        }
    }
}

/// Compares the frames of several runs of a film.
async fn same_frames(bench: &Bench, film: &Path, streams: &[(&str, Tracks)]) {
    let source = bench.in_ranges(film).await;
    let (clock, packets) = (start_of_clock(film), packets(film));
    let keys: Vec<f64> = packets.iter().filter(|packet| packet.is_key).map(|packet| packet.shown).collect();
    let last = packets.iter().map(|packet| packet.shown).fold(0.0, f64::max);
    let middle = keys[keys.len() / 2];
    let runs = [
        clock..last / 4.0,
        middle..last.min(middle + 1.0),
        last / 3.0 + 0.01..last / 2.0,
        *keys.last().unwrap()..last + 1.0,
        last * 0.7..last * 0.71,
    ];
    for (number, around) in runs.into_iter().enumerate() {
        for (stream, tracks) in streams {
            let holes = bench.path.join(format!("holes-{number}-{tracks:?}"));
            let run = TimeRun { from: Some(time(around.start)), to: Some(time(around.end)), tracks: *tracks };
            source.fetch(&*bench.store, &run, &holes, &FillOptions::default()).await.unwrap();
            let (whole, complaints) = frames(film, clock, &around, stream);
            let (made, more) = frames(&holes, clock, &around, stream);
            let shown = format!("{} {around:?} {stream}", film.display());
            assert!(whole.lines().any(|line| !line.starts_with('#')), "{shown} has frames");
            assert!(whole == made, "{shown}: other frames\n{more}");
            let count = |text: &str| text.lines().count();
            assert!(count(&more) <= count(&complaints), "{shown}: {more}");
            std::fs::remove_file(&holes).unwrap();
        }
    }
}

fn clip(options: &[&str]) -> Clip {
    Clip { frames: 500, ..Clip::default() }.with_options(options)
}

const VIDEO: &[(&str, Tracks)] = &[("0:v:0", Tracks::Video)];
const BOTH: &[(&str, Tracks)] = &[("0:v:0", Tracks::Video), ("0:a:0", Tracks::Audio)];

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_mp4_are_the_same() {
    let bench = Bench::new().await;
    let film = |name: &str| bench.path.join(name);
    let usual = ["-preset", "veryfast", "-g", "50", "-bf", "3", "-b:v", "2M"];
    clip(&usual).write(&film("index at the end.mp4"));
    clip(&[&usual[..], &["-movflags", "+faststart"]].concat()).write(&film("index first.mp4"));
    clip(&[&usual[..], &["-x264-params", "open-gop=1"]].concat()).write(&film("open.mp4"));
    clip(&["-bf", "0", "-g", "25"]).write(&film("without b-frames.mp4"));
    clip(&["-c:v", "libx265", "-g", "40", "-x265-params", "log-level=none"]).write(&film("hevc.mp4"));
    clip(&["-video_track_timescale", "90000", "-use_editlist", "0"]).write(&film("no edits.mp4"));
    Clip { start_ms: 3210, ..clip(&usual) }.write(&film("late.mp4"));
    for name in ["index at the end", "index first", "open", "without b-frames", "hevc", "no edits", "late"] {
        same_frames(&bench, &film(&format!("{name}.mp4")), BOTH).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_mov_are_the_same() {
    let bench = Bench::new().await;
    let film = |name: &str| bench.path.join(name);
    let sound = Some(Sound { channels: 6, sample_rate_hz: 48_000 });
    Clip { sound, ..clip(&["-c:a", "pcm_s24le", "-g", "60", "-bf", "2"]) }.write(&film("pcm.mov"));
    clip(&["-c:v", "prores_ks", "-profile:v", "0", "-pix_fmt", "yuv422p10le"]).write(&film("prores.mov"));
    clip(&["-timecode", "01:00:00:00", "-g", "30"]).write(&film("timecode.mov"));
    Clip { sound: None, ..clip(&["-g", "48"]) }.write(&film("silent.mov"));
    for name in ["pcm", "prores", "timecode"] {
        same_frames(&bench, &film(&format!("{name}.mov")), BOTH).await;
    }
    same_frames(&bench, &film("silent.mov"), VIDEO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chapters_and_cut_starts_are_read() {
    let bench = Bench::new().await;
    let film = |name: &str| bench.path.join(name);
    clip(&["-g", "50", "-bf", "2"]).write(&film("plain.mp4"));
    let chapter = |start: u32| {
        format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={}\ntitle=c{start}\n", start + 4000)
    };
    let chapters: String = (0..5).map(|number| chapter(number * 4000)).collect();
    std::fs::write(film("chapters.txt"), format!(";FFMETADATA1\n{chapters}")).unwrap();
    let path = |name: &str| film(name).to_str().unwrap().to_owned();
    let (plain, named) = (path("plain.mp4"), path("chapters.txt"));
    let (chaptered, cut) = (path("chapters.mp4"), path("cut.mp4"));
    run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            &plain,
            "-i",
            &named,
            "-map_metadata",
            "1",
            "-map",
            "0",
            "-c",
            "copy",
            &chaptered,
        ],
    );
    // Its video begins with frames that an edit hides.
    run("ffmpeg", &["-v", "error", "-ss", "3.3", "-i", &plain, "-map", "0", "-c", "copy", &cut]);
    for name in ["chapters.mp4", "cut.mp4"] {
        same_frames(&bench, &film(name), BOTH).await;
    }
    let source = bench.in_ranges(&film("chapters.mp4")).await;
    let run_of = TimeRun { from: Some(time(10.0)), to: Some(time(12.0)), tracks: Tracks::Video };
    let holes = film("holes");
    source.fetch(&*bench.store, &run_of, &holes, &FillOptions::default()).await.unwrap();
    let titles = |film: &Path| {
        let film = film.to_str().unwrap();
        run("ffprobe", &["-v", "error", "-show_chapters", "-of", "json", film]).0
    };
    assert!(titles(&holes).contains("c16000"));
    assert_eq!(titles(&holes), titles(&film("chapters.mp4")));
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(shared_media),
    ignore = "no shared media: set ABANICO_SHARED to the folder that holds `media`"
)]
async fn shared_films_are_the_same() {
    let media = abanico_testkit::shared_media().unwrap();
    let bench = Bench::new().await;
    for name in [
        "car_detection_432p12_30s_aac.mp4",
        "motorway_540p5994_30s_noaudio.mp4",
        "sintel_trailer_720p24_52s_aac.mp4",
    ] {
        let film = bench.path.join(name);
        // The store makes its files read-only.
        std::fs::copy(media.join("bench").join(name), &film).unwrap();
        same_frames(&bench, &film, VIDEO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_of_a_long_film_fetches_little_more_than_its_own_bytes() {
    let bench = Bench::new().await;
    let (short, film) = (bench.path.join("short.mp4"), bench.path.join("film.mp4"));
    let noisy = [
        "-vf",
        "noise=alls=40:allf=t",
        "-g",
        "50",
        "-bf",
        "2",
        "-b:v",
        "8M",
        "-minrate",
        "8M",
        "-maxrate",
        "8M",
        "-bufsize",
        "4M",
    ];
    Clip { frames: 200, width: 640, height: 360, ..Clip::default() }.with_options(&noisy).write(&short);
    let (short, long) = (short.to_str().unwrap(), film.to_str().unwrap());
    run("ffmpeg", &["-v", "error", "-stream_loop", "12", "-i", short, "-c", "copy", long]);
    let size = std::fs::metadata(&film).unwrap().len();
    assert!(size > 90_000_000, "{size}");
    let packets = packets(&film);
    let source = bench.in_ranges(&film).await;
    let keys: Vec<f64> = packets.iter().filter(|packet| packet.is_key).map(|packet| packet.shown).collect();
    for (first, after) in [(0, 4), (keys.len() / 2, keys.len() / 2 + 4), (keys.len() - 4, keys.len())] {
        let (from, to) = (keys[first], keys.get(after).copied().unwrap_or(1e6));
        let own: u64 = packets
            .iter()
            .filter(|packet| packet.shown >= from && packet.shown < to)
            .map(|packet| packet.size)
            .sum();
        let run = TimeRun { from: Some(time(from)), to: Some(time(to)), tracks: Tracks::Video };
        let holes = bench.path.join(format!("holes-{first}"));
        let filled = source.fetch(&*bench.store, &run, &holes, &FillOptions::default()).await.unwrap();
        let fetched = filled.bytes + source.known_bytes();
        println!("film {size}, own {own}, fetched {fetched} in {} requests", filled.requests);
        assert!(fetched <= own + size / 20, "film {size}, own {own}, fetched {fetched}");
        let needed = packets.iter().filter(|packet| packet.shown >= from && packet.shown < to);
        assert!(needed.clone().count() > 100 && needed.clone().all(|packet| packet.place > 0));
        let on_disk = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&holes).unwrap()) * 512;
        assert!(on_disk < fetched + (1 << 20), "the rest takes no space: {on_disk}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_films_are_fetched_whole_and_once() {
    let bench = Bench::new().await;
    let film = |name: &str| bench.path.join(name);
    clip(&["-movflags", "+frag_keyframe+empty_moov"]).write(&film("fragments.mp4"));
    clip(&[]).write(&film("film.mkv"));
    std::fs::write(film("text.mp4"), "no film").unwrap();
    std::fs::write(film("empty.mp4"), "").unwrap();
    let plain = film("plain.mp4");
    clip(&[]).write(&plain);
    let bytes = std::fs::read(&plain).unwrap();
    std::fs::write(film("cut off.mp4"), &bytes[..bytes.len() - 900]).unwrap();
    for name in ["fragments.mp4", "film.mkv", "text.mp4", "empty.mp4", "cut off.mp4"] {
        let Source::Whole { object, why } = bench.open(&film(name)).await else { panic!("{name}") };
        assert!(!why.is_empty());
        let steered = Steered { store: bench.store.clone(), steering: Steering::default() };
        let machine = bench.path.join(format!("whole {name}"));
        // Two processes of a machine, with several tasks each.
        let processes = [WholeSources::open(&machine).unwrap(), WholeSources::open(&machine).unwrap()];
        let place = |number: usize| bench.path.join(format!("{name}.{number}"));
        let fetched = (0..6).map(|number| {
            let (sources, place, object) = (&processes[number % 2], place(number), &object);
            let steered = &steered;
            async move { sources.place(steered, object, &place).await.unwrap() }
        });
        futures::future::join_all(fetched).await;
        assert_eq!(
            usize::MAX - steered.steering.calls_left.load(Ordering::SeqCst),
            1,
            "{name} is fetched once"
        );
        let whole = std::fs::read(film(name)).unwrap();
        assert!((0..6).all(|number| std::fs::read(place(number)).unwrap() == whole));
        assert_eq!(processes[0].remove_unused(Duration::from_secs(3600)).unwrap(), 0);
        assert!(std::fs::read_dir(&machine).unwrap().count() > 0, "it was just used");
        assert_eq!(processes[0].remove_unused(Duration::ZERO).unwrap(), 0, "others have it");
        assert_eq!(std::fs::read_dir(&machine).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_film_is_noticed() {
    let bench = Bench::new().await;
    let (film, other) = (bench.path.join("film.mp4"), bench.path.join("other.mp4"));
    clip(&["-g", "50"]).write(&film);
    Clip { width: 322, ..clip(&["-g", "50"]) }.write(&other);
    let source = bench.in_ranges(&film).await;
    let url = source.object().url.clone();
    bench.store.publish(&other, &url, &ObjectAttributes::default()).await.unwrap();
    let run = TimeRun { from: Some(time(8.0)), to: Some(time(9.0)), tracks: Tracks::All };
    let (holes, whole) = (bench.path.join("holes"), bench.path.join("whole"));
    let fetched = source.fetch(&*bench.store, &run, &holes, &FillOptions::default()).await;
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Changed);
    assert!(!holes.exists());
    let sources = WholeSources::open(&bench.path.join("machine")).unwrap();
    let placed = sources.place(&*bench.store, source.object(), &whole).await;
    assert_eq!(placed.unwrap_err().kind(), ErrorKind::Changed);
    assert!(!whole.exists());
}

#[tokio::test]
async fn user_file_keeps_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mkv");
    clip(&["-frames:v", "5"]).write(&film);
    let modified = || std::fs::metadata(&film).unwrap().modified().unwrap();
    let before = modified();
    let store = FolderStore::new([folder.path().to_owned()]).unwrap();
    let url = ObjectUrl::File(film.clone());
    let sources = WholeSources::open(&folder.path().join("machine")).unwrap();
    for number in 0..2 {
        let object = store.stat(&url).await.unwrap();
        sources.place(&store, &object, &folder.path().join(number.to_string())).await.unwrap();
    }
    assert_eq!(modified(), before, "a film may be a link to the user's file");
}
